// Half-split RoPE of one channel pair (i, i + D / 2), every operation rounded:
// the CPU's and the reference's results bit for bit.
#ifndef SEER_KERNELS_CUDA_ROTATION_CUH_
#define SEER_KERNELS_CUDA_ROTATION_CUH_

namespace seer {
namespace cuda {

__device__ __forceinline__ float RotatedLow(float low, float high, float cos,
                                            float sin) {
  return __fsub_rn(__fmul_rn(low, cos), __fmul_rn(high, sin));
}
__device__ __forceinline__ float RotatedHigh(float low, float high, float cos,
                                             float sin) {
  return __fadd_rn(__fmul_rn(high, cos), __fmul_rn(low, sin));
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_ROTATION_CUH_
