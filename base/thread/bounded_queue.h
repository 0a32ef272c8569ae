#ifndef SEER_BASE_THREAD_BOUNDED_QUEUE_H_
#define SEER_BASE_THREAD_BOUNDED_QUEUE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"

namespace seer {

// A first-in first-out queue with a limit, between any number of producers and
// consumers. Thread-safe. Closing it refuses further items; those already in it
// can still be taken.
template <typename T>
class BoundedQueue {
 public:
  // A capacity of 0 refuses every item.
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  // Adds `item` unless the queue is full or closed. Returns whether it did; if
  // not, `item` is untouched. Never blocks on consumers.
  [[nodiscard]] bool TryPush(T&& item) {
    {
      MutexLock lock(&mutex_);
      if (closed_ || items_.size() >= capacity_) return false;
      items_.push_back(std::move(item));
    }
    changed_.NotifyOne();
    return true;
  }

  // Takes the oldest item; nullopt if there is none now.
  std::optional<T> TryPop() {
    MutexLock lock(&mutex_);
    return TakeFront();
  }

  // Takes the oldest item, waiting for one. nullopt: closed, and none is left.
  std::optional<T> Pop() {
    MutexLock lock(&mutex_);
    while (items_.empty() && !closed_) changed_.Wait(&mutex_);
    return TakeFront();
  }

  // As Pop, waiting no longer than `timeout`; nullopt then as well.
  std::optional<T> PopWithTimeout(absl::Duration timeout) {
    const absl::Time deadline = absl::Now() + timeout;
    MutexLock lock(&mutex_);
    while (items_.empty() && !closed_) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) break;
      changed_.WaitWithTimeout(&mutex_, left);
    }
    return TakeFront();
  }

  // Refuses items from now on, and wakes whoever waits. Idempotent.
  void Close() {
    {
      MutexLock lock(&mutex_);
      closed_ = true;
    }
    changed_.NotifyAll();
  }

  bool closed() const {
    MutexLock lock(&mutex_);
    return closed_;
  }

  size_t size() const {
    MutexLock lock(&mutex_);
    return items_.size();
  }

  size_t capacity() const { return capacity_; }

 private:
  std::optional<T> TakeFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

  const size_t capacity_;
  mutable Mutex mutex_;
  CondVar changed_;  // an item was added, or the queue was closed
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace seer

#endif  // SEER_BASE_THREAD_BOUNDED_QUEUE_H_
