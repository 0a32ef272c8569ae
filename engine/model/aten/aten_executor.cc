#include "engine/model/aten/aten_executor.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace seer {

void AtenExecutor::BindThisThread() const { at::set_num_threads(num_threads_); }

void AtenExecutor::ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> fn) {
  // Items cost unequal time (a tile late in a prompt sees more blocks), so
  // threads take them one by one.
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min<int64_t>(n, num_threads_), 1,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t worker = begin; worker < end; ++worker) {
                       for (int64_t i = next++; i < n; i = next++) fn(i);
                     }
                   });
}

}  // namespace seer
