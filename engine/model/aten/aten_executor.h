// Kernels on ATen's threads.
#ifndef SEER_ENGINE_MODEL_ATEN_ATEN_EXECUTOR_H_
#define SEER_ENGINE_MODEL_ATEN_ATEN_EXECUTOR_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "base/thread/executor.h"

namespace seer {

// Runs loops on the OpenMP threads that ATen's own operators use, so that
// kernels and operators take turns on one set of threads instead of competing
// for the cores.
class AtenExecutor final : public Executor {
 public:
  // `num_threads` >= 1.
  explicit AtenExecutor(int num_threads) : num_threads_(num_threads) {}

  // To be called once by each thread that is to run operators or loops: the
  // size of OpenMP's team belongs to the thread that opens it.
  void BindThisThread() const;

  int num_threads() const override { return num_threads_; }
  void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> fn) override;

 private:
  const int num_threads_;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_ATEN_ATEN_EXECUTOR_H_
