// The bounded queue between the engine and the reader of one request.
//
// The engine holds the EventOutbox, the reader the TokenStream; either may go
// first. The outbox takes every event and never blocks. A slow reader's events
// coalesce: deltas of a choice join, the last progress stands for the earlier
// ones. When what is undelivered reaches the capacity, the outbox is full: the
// engine holds the request until `wake` says that the reader caught up, so
// memory stays under the capacity and two steps' events. A reader that takes
// nothing for too long is ended; see StalledFor. docs/design/event_stream.md
#ifndef SEER_ENGINE_EVENT_STREAM_EVENT_STREAM_H_
#define SEER_ENGINE_EVENT_STREAM_EVENT_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/request.h"

namespace seer {

struct EventStreamOptions {
  // Undelivered bytes from which the outbox is full; it is no longer when they
  // have fallen to half. > 0
  int64_t capacity_bytes = 1 << 20;
  // Deltas join up to this many tokens each, so that a frame on the wire
  // stays small. >= 1
  int64_t max_delta_tokens = 256;
};

class EventQueue;

// The engine's end. Used by one thread, the engine's; the reader may be on any
// other. Destroying it before a last event was pushed leaves the reader
// waiting: push one.
class EventOutbox {
 public:
  explicit EventOutbox(std::shared_ptr<EventQueue> queue);
  EventOutbox(EventOutbox&&) = default;
  EventOutbox& operator=(EventOutbox&&) = default;

  // Takes the event, even when full, and calls the reader's `ready` (on this
  // thread, no lock held) if the queue was empty. Dropped when cancelled, or
  // after a last event.
  void Push(Event event);

  // Drops what is undelivered and pushes FailureEvent{status} as the last
  // event: ends the request of a reader that stalls.
  void DropAndFail(absl::Status status);

  // The reader destroyed its stream.
  bool cancelled() const { return cancelled_since().has_value(); }
  // When it did; unset: it has not.
  std::optional<absl::Time> cancelled_since() const;

  // The capacity is reached: give the request no more rows. Turns false only
  // through the reader, `wake` being called then.
  bool full() const;

  // How long there has been something to read and the reader took nothing, as
  // far as earlier calls can tell: call it each step while the request lives.
  // Too low by at most the time between calls, never too high. From some N
  // seconds on the engine ends the request with SlowReaderError.
  absl::Duration StalledFor(absl::Time now);

 private:
  std::shared_ptr<EventQueue> queue_;
  int64_t stall_mark_ = 0;  // at the last StalledFor
  absl::Time stalled_since_;
};

// RESOURCE_EXHAUSTED with reason SLOW_READER.
absl::Status SlowReaderError(absl::Duration stalled);

struct EventStreamEnds {
  EventOutbox outbox;
  std::unique_ptr<TokenStream> stream;
};

// `wake` tells the engine to look at the outbox: the stream was destroyed, or
// is no longer full. Called on the reader's thread, no lock held; must not
// block. It may be called until both ends are gone, so it must own what it
// touches.
EventStreamEnds MakeEventStream(const EventStreamOptions& options,
                                std::function<void()> wake);

}  // namespace seer

#endif  // SEER_ENGINE_EVENT_STREAM_EVENT_STREAM_H_
