// silu(gate) * up on a GPU: a thread a vector.
#ifndef SEER_KERNELS_ROWWISE_CUDA_SILU_MUL_H_
#define SEER_KERNELS_ROWWISE_CUDA_SILU_MUL_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace seer {
namespace cuda {

// SiluMulArgs without what needs Abseil; all pointers are the device's.
struct SiluMulParams {
  DType dtype = DType::kBFloat16;
  bool by_vectors = false;  // rows and addresses allow 16-byte accesses
  int64_t num_rows = 0;     // 1..2^31 - 1
  int32_t width = 0;
  const void* gate_up = nullptr;
  void* out = nullptr;
};

cudaError_t LaunchSiluMul(const SiluMulParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ROWWISE_CUDA_SILU_MUL_H_
