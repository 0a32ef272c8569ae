// Elements of a tensor, moved several at a time and computed with in fp32.
#ifndef SEER_KERNELS_CUDA_VECTOR_CUH_
#define SEER_KERNELS_CUDA_VECTOR_CUH_

#include <cuda_bf16.h>

#include <cstdint>

namespace seer {
namespace cuda {

// The device's name of seer::BFloat16.
using DeviceBf16 = __nv_bfloat16;

__device__ __forceinline__ float ToFloat(float x) { return x; }
__device__ __forceinline__ float ToFloat(DeviceBf16 x) {
  return __bfloat162float(x);
}

// Rounded to nearest even.
template <class T>
__device__ __forceinline__ T FromFloat(float x);
template <>
__device__ __forceinline__ float FromFloat<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ DeviceBf16 FromFloat<DeviceBf16>(float x) {
  return __float2bfloat16_rn(x);
}

// The value that a T holds of x.
template <class T>
__device__ __forceinline__ float RoundedTo(float x) {
  return ToFloat(FromFloat<T>(x));
}

// Elements of 16 bytes, the most that a thread moves at once.
template <class T>
constexpr int kVectorLen = 16 / sizeof(T);

// kLen elements, aligned to their size: one access where that is up to 16
// bytes.
template <class T, int kLen>
struct alignas(kLen * sizeof(T)) Vector {
  T values[kLen];
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_VECTOR_CUH_
