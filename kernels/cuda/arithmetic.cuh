// Arithmetic that CUDA kernels share: fast exponentials, bfloat16 pairs, and
// reductions over the four threads that hold a row of a matrix fragment.
#ifndef SEER_KERNELS_CUDA_ARITHMETIC_CUH_
#define SEER_KERNELS_CUDA_ARITHMETIC_CUH_

#include <cstdint>

namespace seer {
namespace cuda {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
constexpr unsigned kAllLanes = 0xffffffffu;

// 2^x to about 2 units in the last place; denormal results are 0.
__device__ __forceinline__ float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// log2(x) for x >= 0 to about 2^-22 of it, or of 1 near x = 1; -inf for 0 and
// denormal x.
__device__ __forceinline__ float Log2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Two bfloat16 values, rounded to nearest even; `low` at the lower address.
__device__ __forceinline__ uint32_t PackBf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

// The values of such a pair.
__device__ __forceinline__ float LowBf16(uint32_t packed) {
  return __uint_as_float(packed << 16);
}
__device__ __forceinline__ float HighBf16(uint32_t packed) {
  return __uint_as_float(packed & 0xffff0000u);
}

// Over lanes 4i..4i+3.
__device__ __forceinline__ float QuadMax(float v) {
  v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, 1));
  return fmaxf(v, __shfl_xor_sync(kAllLanes, v, 2));
}
__device__ __forceinline__ float QuadSum(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_ARITHMETIC_CUH_
