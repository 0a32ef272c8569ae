// QkPrepare of any even head_dim and any alignment: by single elements.
#ifndef SEER_KERNELS_QK_PREPARE_CUDA_NARROW_H_
#define SEER_KERNELS_QK_PREPARE_CUDA_NARROW_H_

#include <cuda_runtime_api.h>

#include "kernels/dtype.h"
#include "kernels/qk_prepare/cuda/prepare_params.h"

namespace seer {
namespace cuda {

// Enqueues one kernel.
cudaError_t LaunchNarrow(const PrepareParams& params, DType dtype,
                         cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_CUDA_NARROW_H_
