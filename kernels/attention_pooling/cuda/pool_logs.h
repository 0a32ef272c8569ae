// The targets of calibration from the logs that attention leaves.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CUDA_POOL_LOGS_H_
#define SEER_KERNELS_ATTENTION_POOLING_CUDA_POOL_LOGS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/attention/attention_plan.h"
#include "kernels/attention_pooling/cuda/row_logs.h"

namespace seer {
namespace cuda {

// All pointers are the device's; targets as AttentionPoolingArgs has them.
struct PoolLogsParams {
  const PromptPart* parts = nullptr;  // the plan's
  int32_t num_parts = 0;
  RowLogs logs;
  float* max_target = nullptr;
  float* mass_target = nullptr;
};

cudaError_t LaunchPoolLogs(const PoolLogsParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CUDA_POOL_LOGS_H_
