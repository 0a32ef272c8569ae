// RMS norm on a GPU: a thread block a row, which stays in registers between the
// sum of its squares and the quotient.
#ifndef SEER_KERNELS_ROWWISE_CUDA_RMS_NORM_H_
#define SEER_KERNELS_ROWWISE_CUDA_RMS_NORM_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace seer {
namespace cuda {

// Units (16-byte vectors, or single elements) of the widest row.
constexpr int kMaxNormUnits = 2048;

// RmsNormArgs without what needs Abseil; all pointers are the device's.
struct RmsNormParams {
  DType dtype = DType::kBFloat16;
  bool by_vectors = false;  // rows and addresses allow 16-byte accesses
  int64_t num_rows = 0;     // 1..2^31 - 1
  int32_t width = 0;        // 1..kMaxNormUnits units
  void* x = nullptr;
  const void* addend = nullptr;
  const void* weight = nullptr;
  float epsilon = 0.0f;
  void* out = nullptr;
};

cudaError_t LaunchRmsNorm(const RmsNormParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ROWWISE_CUDA_RMS_NORM_H_
