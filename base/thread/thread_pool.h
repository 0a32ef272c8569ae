#ifndef SEER_BASE_THREAD_THREAD_POOL_H_
#define SEER_BASE_THREAD_THREAD_POOL_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "base/thread/executor.h"
#include "base/thread/mutex.h"

namespace seer {

// A fixed number of threads that run loops. Thread-safe: several threads, and
// the items of a loop themselves, may call ParallelFor at the same time.
class ThreadPool final : public Executor {
 public:
  // `num_threads` counts the calling thread, which takes part in its loops:
  // num_threads - 1 threads are started. A value below 1 is taken as 1.
  explicit ThreadPool(int num_threads);

  // No ParallelFor may be running.
  ~ThreadPool() override;

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const override {
    return static_cast<int>(workers_.size()) + 1;
  }

  // Items are handed out one at a time to the threads that are free, so they
  // may cost unequal time; an item should be worth some microseconds.
  void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> fn) override;

 private:
  struct Loop;

  void RunWorker();

  Mutex mutex_;
  CondVar loops_changed_;  // a loop was added, or stopping_ was set
  CondVar workers_left_;   // some loop's num_workers fell to 0

  // Loops that may have items left. Each lives on its caller's stack, and
  // leaves the list before its caller returns.
  std::vector<Loop*> loops_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> workers_;
};

}  // namespace seer

#endif  // SEER_BASE_THREAD_THREAD_POOL_H_
