#include "server/completion/worker_pool.h"

#include <optional>
#include <utility>

namespace seer {

WorkerPool::WorkerPool(int num_threads, size_t capacity) : tasks_(capacity) {
  threads_.reserve(num_threads);
  for (int i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] {
      while (std::optional<std::function<void()>> task = tasks_.Pop()) {
        (*task)();
      }
    });
  }
}

WorkerPool::~WorkerPool() {
  tasks_.Close();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::TryRun(std::function<void()> task) {
  return tasks_.TryPush(std::move(task));
}

}  // namespace seer
