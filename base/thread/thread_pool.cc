#include "base/thread/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/thread/mutex.h"

namespace seer {

struct ThreadPool::Loop {
  Loop(int64_t n, absl::FunctionRef<void(int64_t)> fn) : n(n), fn(fn) {}

  // Runs items until none is left to hand out.
  void RunItems() {
    // Relaxed: the pool's mutex orders the items with what is around the loop.
    for (int64_t i = next.fetch_add(1, std::memory_order_relaxed); i < n;
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      fn(i);
    }
  }

  const int64_t n;
  const absl::FunctionRef<void(int64_t)> fn;
  std::atomic<int64_t> next{0};
  int num_workers = 0;  // workers inside RunItems; guarded by the pool's mutex
};

ThreadPool::ThreadPool(int num_threads) {
  for (int i = 1; i < num_threads; ++i) {
    workers_.emplace_back([this] { RunWorker(); });
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  loops_changed_.NotifyAll();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> fn) {
  if (n <= 1 || workers_.empty()) {
    for (int64_t i = 0; i < n; ++i) fn(i);
    return;
  }
  Loop loop(n, fn);
  {
    MutexLock lock(&mutex_);
    loops_.push_back(&loop);
  }
  if (n - 1 < static_cast<int64_t>(workers_.size())) {
    for (int64_t i = 1; i < n; ++i) loops_changed_.NotifyOne();
  } else {
    loops_changed_.NotifyAll();
  }
  loop.RunItems();

  MutexLock lock(&mutex_);
  loops_.erase(std::remove(loops_.begin(), loops_.end(), &loop), loops_.end());
  // The workers left are inside their last item. A wait here cannot be
  // circular: an item that runs a loop of its own takes part in it and so ends.
  while (loop.num_workers > 0) workers_left_.Wait(&mutex_);
}

void ThreadPool::RunWorker() {
  MutexLock lock(&mutex_);
  while (true) {
    while (loops_.empty() && !stopping_) loops_changed_.Wait(&mutex_);
    if (stopping_) return;
    Loop* const loop = loops_.front();
    ++loop->num_workers;
    mutex_.Unlock();
    loop->RunItems();
    mutex_.Lock();
    // All items are handed out: nobody else needs to look at this loop.
    loops_.erase(std::remove(loops_.begin(), loops_.end(), loop), loops_.end());
    if (--loop->num_workers == 0) workers_left_.NotifyAll();
  }
}

}  // namespace seer
