// The queue that an outbox and a stream share; see event_stream.h for what its
// two ends promise.
#ifndef SEER_ENGINE_EVENT_STREAM_EVENT_QUEUE_H_
#define SEER_ENGINE_EVENT_STREAM_EVENT_QUEUE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/request.h"

namespace seer {

// Thread-safe. No callback runs under the lock, and `ready` never runs twice at
// a time.
class EventQueue {
 public:
  // Limits and `wake` as in event_stream.h.
  EventQueue(int64_t capacity_bytes, int64_t max_delta_tokens,
             std::function<void()> wake);

  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // The engine's side. `drop_earlier` drops what is undelivered first.
  void Push(Event event, bool drop_earlier);
  // When the reader went; unset: it is there.
  std::optional<absl::Time> closed_since() const;
  bool full() const;
  // Changes whenever an event is delivered or comes to an empty queue; 0 while
  // there is nothing to read.
  int64_t StallMark() const;

  // The reader's side. Close waits until `ready` is not running.
  bool TryNext(Event* event);
  void OnReady(std::function<void()> ready);
  void Close();

 private:
  struct Entry {
    Event event;
    int64_t bytes = 0;
  };

  // Joins the event to an undelivered one of its kind; false: cannot.
  bool Coalesce(Event& event, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Calls `ready_`, here or, if it is running, there once more.
  void CallReady() ABSL_LOCKS_EXCLUDED(mutex_);

  const int64_t capacity_bytes_;
  const int64_t max_delta_tokens_;
  const std::function<void()> wake_;

  mutable Mutex mutex_;
  CondVar ready_returned_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t activity_ ABSL_GUARDED_BY(mutex_) = 0;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // the last event was pushed
  std::optional<absl::Time> closed_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> ready_ ABSL_GUARDED_BY(mutex_);
  bool ready_running_ ABSL_GUARDED_BY(mutex_) = false;
  bool ready_again_ ABSL_GUARDED_BY(mutex_) = false;
};

// Bytes that an event occupies, its strings and vectors with it; approximate.
int64_t EventBytes(const Event& event);

}  // namespace seer

#endif  // SEER_ENGINE_EVENT_STREAM_EVENT_QUEUE_H_
