// QkPrepare in accesses of 16 bytes.
#ifndef SEER_KERNELS_QK_PREPARE_CUDA_WIDE_H_
#define SEER_KERNELS_QK_PREPARE_CUDA_WIDE_H_

#include <cuda_runtime_api.h>

#include "kernels/dtype.h"
#include "kernels/qk_prepare/cuda/prepare_params.h"

namespace seer {
namespace cuda {

// Whether LaunchWide takes the arguments: half a head is a multiple of 16
// bytes, and so are all addresses and the rows' strides.
bool FitsWide(const PrepareParams& params, DType dtype);

// Enqueues one kernel.
cudaError_t LaunchWide(const PrepareParams& params, DType dtype,
                       cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_CUDA_WIDE_H_
