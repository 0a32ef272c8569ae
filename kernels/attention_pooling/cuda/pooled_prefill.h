// Dense attention of prompt tiles on a GPU that also leaves its rows' logs.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CUDA_POOLED_PREFILL_H_
#define SEER_KERNELS_ATTENTION_POOLING_CUDA_POOLED_PREFILL_H_

#include <cuda_runtime_api.h>

#include "kernels/attention/cuda/prefill.h"
#include "kernels/attention_pooling/cuda/row_logs.h"

namespace seer {
namespace cuda {

// Enqueues LaunchPrefill's work, its sets being none, which also fills `logs`;
// `head_dim` is 64 or 128.
cudaError_t LaunchPooledPrefill(const PrefillParams& params,
                                const PrefillMaps& maps, const RowLogs& logs,
                                int head_dim, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CUDA_POOLED_PREFILL_H_
