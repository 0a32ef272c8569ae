#ifndef SEER_BASE_THREAD_MUTEX_H_
#define SEER_BASE_THREAD_MUTEX_H_

// A mutex and a condition variable over the standard library's, annotated for
// clang's -Wthread-safety. They take the place of absl::Mutex because Debian's
// Abseil is built without ThreadSanitizer, which then sees races where a lock
// orders the accesses; through these, `--config=tsan` reports only real ones.
//
//   class Counter {
//    public:
//     void Add() {
//       MutexLock lock(&mutex_);
//       ++count_;
//       changed_.NotifyAll();
//     }
//     void WaitForTen() {
//       MutexLock lock(&mutex_);
//       while (count_ < 10) changed_.Wait(&mutex_);
//     }
//
//    private:
//     Mutex mutex_;
//     CondVar changed_;
//     int count_ ABSL_GUARDED_BY(mutex_) = 0;
//   };

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace seer {

// Not recursive.
class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

  // Tells the analysis, where it cannot see it (in a lambda, for one), that
  // this thread holds the mutex. Does nothing.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds a mutex, which must outlive it, for its lifetime.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waits may end without a notification: call them in a loop on the condition.
class CondVar {
 public:
  CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  // Unlocks `mutex`, waits for a notification, and locks it again.
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }

  // As Wait, for `timeout` at most. Returns whether the time ran out.
  bool WaitWithTimeout(Mutex* mutex, absl::Duration timeout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    // Far above any real wait, far below the clock's overflow.
    constexpr absl::Duration kLongest = absl::Hours(24 * 365);
    if (timeout > kLongest) timeout = kLongest;
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const std::cv_status status =
        condition_.wait_for(lock, absl::ToChronoNanoseconds(timeout));
    lock.release();
    return status == std::cv_status::timeout;
  }

  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace seer

#endif  // SEER_BASE_THREAD_MUTEX_H_
