// The gate's entries by tensor cores: bfloat16, D 64 or 128.
#ifndef SEER_KERNELS_GATE_SCORE_CUDA_ENTRIES_H_
#define SEER_KERNELS_GATE_SCORE_CUDA_ENTRIES_H_

#include <cuda_runtime_api.h>

#include "kernels/gate_score/cuda/gate_params.h"

namespace seer {
namespace cuda {

// Enqueues the query entries and key entries of the scored tiles. An entry
// does not depend on the tiles beside its own. Addresses are multiples of 16.
cudaError_t LaunchEntries(const GateParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CUDA_ENTRIES_H_
