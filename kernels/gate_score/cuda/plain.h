// The gate of any shape on a GPU: fp32, and head sizes without tensor core
// kernels. Sums are fp32, one multiply-add after the other.
#ifndef SEER_KERNELS_GATE_SCORE_CUDA_PLAIN_H_
#define SEER_KERNELS_GATE_SCORE_CUDA_PLAIN_H_

#include <cuda_runtime_api.h>

#include "kernels/dtype.h"
#include "kernels/gate_score/cuda/gate_params.h"

namespace seer {
namespace cuda {

// Enqueues the query entries and key entries of the scored tiles.
cudaError_t LaunchPlainEntries(const GateParams& params, DType dtype,
                               cudaStream_t stream);

// Enqueues the logits, from entries that are there.
cudaError_t LaunchPlainLogits(const GateParams& params, DType dtype,
                              cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CUDA_PLAIN_H_
