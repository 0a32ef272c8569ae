// The gate's logits by tensor cores: bfloat16, D 64 or 128.
#ifndef SEER_KERNELS_GATE_SCORE_CUDA_LOGITS_H_
#define SEER_KERNELS_GATE_SCORE_CUDA_LOGITS_H_

#include <cuda_runtime_api.h>

#include "kernels/gate_score/cuda/gate_params.h"

namespace seer {
namespace cuda {

// Enqueues the logits, from entries that are there. A logit is a sum in the
// order of the channels, wherever its entries stand.
cudaError_t LaunchLogits(const GateParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CUDA_LOGITS_H_
