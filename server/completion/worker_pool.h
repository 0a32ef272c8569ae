#ifndef SEER_SERVER_COMPLETION_WORKER_POOL_H_
#define SEER_SERVER_COMPLETION_WORKER_POOL_H_

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "base/thread/bounded_queue.h"

namespace seer {

// A few threads for work that is too long for gRPC's own, of which there are as
// few as cores: reading long texts. Thread-safe.
class WorkerPool {
 public:
  // Both at least 1. `capacity` is of tasks that wait.
  WorkerPool(int num_threads, size_t capacity);

  // Runs every task that was accepted, then returns.
  ~WorkerPool();

  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False where too many tasks wait; `task` was not run then and will not be.
  // Never blocks.
  [[nodiscard]] bool TryRun(std::function<void()> task);

 private:
  BoundedQueue<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace seer

#endif  // SEER_SERVER_COMPLETION_WORKER_POOL_H_
