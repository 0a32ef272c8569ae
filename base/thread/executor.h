#ifndef SEER_BASE_THREAD_EXECUTOR_H_
#define SEER_BASE_THREAD_EXECUTOR_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace seer {

// Runs the items of a loop, possibly at the same time on several threads.
//
//   executor.ParallelFor(num_tiles, [&](int64_t tile) { Attend(tile); });
class Executor {
 public:
  virtual ~Executor() = default;

  // How many items can run at the same time, >= 1. Constant.
  virtual int num_threads() const = 0;

  // Calls fn(0) ... fn(n - 1), each once, in no particular order, and returns
  // when all have returned. n <= 0 calls nothing. What the caller wrote before
  // the call is visible to every fn(i); what they wrote is visible to the
  // caller after it. `fn` must not throw.
  virtual void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> fn) = 0;
};

// Runs every item on the calling thread, in order.
class InlineExecutor final : public Executor {
 public:
  int num_threads() const override { return 1; }
  void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> fn) override {
    for (int64_t i = 0; i < n; ++i) fn(i);
  }
};

}  // namespace seer

#endif  // SEER_BASE_THREAD_EXECUTOR_H_
