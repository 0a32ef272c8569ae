// The targets of any shape on a GPU: fp32, and head sizes without a kernel of
// their own. Correct, in fp32 throughout, and slow: scores are computed twice,
// by one warp a row.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CUDA_PLAIN_H_
#define SEER_KERNELS_ATTENTION_POOLING_CUDA_PLAIN_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/attention/cuda/generic.h"
#include "kernels/dtype.h"

namespace seer {
namespace cuda {

struct PlainPoolParams {
  GenericParams attention;  // whose outputs and sets are not looked at
  float* max_target = nullptr;
  float* mass_target = nullptr;
  int32_t row_len = 0;
};

cudaError_t LaunchPlainPool(const PlainPoolParams& params, DType dtype,
                            cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CUDA_PLAIN_H_
