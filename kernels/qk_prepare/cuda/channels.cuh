// 16 bytes of neighbouring channels of one row, and their running pools.
#ifndef SEER_KERNELS_QK_PREPARE_CUDA_CHANNELS_CUH_
#define SEER_KERNELS_QK_PREPARE_CUDA_CHANNELS_CUH_

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/arithmetic.cuh"
#include "kernels/paged_kv.h"

namespace seer {
namespace cuda {

// The larger or smaller of each element; NaN where either is one. Of zeros, +0
// is the larger.
__device__ __forceinline__ uint32_t MaxBf16(uint32_t a, uint32_t b) {
  uint32_t max;
  asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(max) : "r"(a), "r"(b));
  return max;
}
__device__ __forceinline__ uint32_t MinBf16(uint32_t a, uint32_t b) {
  uint32_t min;
  asm("min.NaN.bf16x2 %0, %1, %2;" : "=r"(min) : "r"(a), "r"(b));
  return min;
}
__device__ __forceinline__ float MaxFloat(float a, float b) {
  float max;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(max) : "f"(a), "f"(b));
  return max;
}
__device__ __forceinline__ float MinFloat(float a, float b) {
  float min;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(min) : "f"(a), "f"(b));
  return min;
}

template <class T>
struct Channels;

template <>
struct Channels<float> {
  static constexpr int kCount = 4;
  float values[kCount];

  __device__ __forceinline__ explicit Channels(const uint4& bits) {
    values[0] = __uint_as_float(bits.x);
    values[1] = __uint_as_float(bits.y);
    values[2] = __uint_as_float(bits.z);
    values[3] = __uint_as_float(bits.w);
  }
  __device__ __forceinline__ explicit Channels(const float (&floats)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] = floats[i];
  }
  __device__ __forceinline__ uint4 Bits() const {
    return make_uint4(__float_as_uint(values[0]), __float_as_uint(values[1]),
                      __float_as_uint(values[2]), __float_as_uint(values[3]));
  }
  __device__ __forceinline__ void ToFloats(float (&floats)[kCount]) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) floats[i] = values[i];
  }
  __device__ __forceinline__ void TakeMax(const Channels& x) {
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      values[i] = MaxFloat(values[i], x.values[i]);
  }
  __device__ __forceinline__ void TakeMin(const Channels& x) {
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      values[i] = MinFloat(values[i], x.values[i]);
  }
};

template <>
struct Channels<__nv_bfloat16> {
  static constexpr int kCount = 8;
  uint32_t words[kCount / 2];

  __device__ __forceinline__ explicit Channels(const uint4& bits)
      : words{bits.x, bits.y, bits.z, bits.w} {}
  __device__ __forceinline__ explicit Channels(const float (&floats)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      words[i] = PackBf16(floats[2 * i], floats[2 * i + 1]);
    }
  }
  __device__ __forceinline__ uint4 Bits() const {
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
  __device__ __forceinline__ void ToFloats(float (&floats)[kCount]) const {
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      floats[2 * i] = LowBf16(words[i]);
      floats[2 * i + 1] = HighBf16(words[i]);
    }
  }
  __device__ __forceinline__ void TakeMax(const Channels& x) {
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i)
      words[i] = MaxBf16(words[i], x.words[i]);
  }
  __device__ __forceinline__ void TakeMin(const Channels& x) {
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i)
      words[i] = MinBf16(words[i], x.words[i]);
  }
};

template <int kCount>
__device__ __forceinline__ void LoadFloats(const float* from,
                                           float (&floats)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const float4 v = *reinterpret_cast<const float4*>(from + i);
    floats[i] = v.x;
    floats[i + 1] = v.y;
    floats[i + 2] = v.z;
    floats[i + 3] = v.w;
  }
}
template <int kCount>
__device__ __forceinline__ void StoreFloats(const float (&floats)[kCount],
                                            float* to) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    *reinterpret_cast<float4*>(to + i) =
        make_float4(floats[i], floats[i + 1], floats[i + 2], floats[i + 3]);
  }
}

// The pools of some channels. Maxima and minima of a T's values are values of
// T; sums run in the order of the calls.
template <class T>
class ChannelPools {
 public:
  static constexpr int kCount = Channels<T>::kCount;

  // Of no token. x + -0 is x, for zeros of either sign too.
  __device__ __forceinline__ ChannelPools()
      : max_(Filled(-INFINITY)), min_(Filled(INFINITY)) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) sum_[i] = roped_sum_[i] = -0.0f;
  }

  // `pools` [kNumPools, head_dim], from its first of these channels on.
  __device__ __forceinline__ void Load(const float* pools, int head_dim) {
    float floats[kCount];
    LoadFloats(pools + kPoolMax * head_dim, floats);
    max_ = Channels<T>(floats);
    LoadFloats(pools + kPoolMin * head_dim, floats);
    min_ = Channels<T>(floats);
    LoadFloats(pools + kPoolSum * head_dim, sum_);
    LoadFloats(pools + kPoolRopedSum * head_dim, roped_sum_);
  }
  __device__ __forceinline__ void Store(float* pools, int head_dim) const {
    float floats[kCount];
    max_.ToFloats(floats);
    StoreFloats(floats, pools + kPoolMax * head_dim);
    min_.ToFloats(floats);
    StoreFloats(floats, pools + kPoolMin * head_dim);
    StoreFloats(sum_, pools + kPoolSum * head_dim);
    StoreFloats(roped_sum_, pools + kPoolRopedSum * head_dim);
  }

  // Takes in one token: x, also as `floats`, and its roped values.
  __device__ __forceinline__ void Add(const Channels<T>& x,
                                      const float (&floats)[kCount],
                                      const Channels<T>& roped) {
    max_.TakeMax(x);
    min_.TakeMin(x);
    float roped_floats[kCount];
    roped.ToFloats(roped_floats);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      sum_[i] = __fadd_rn(sum_[i], floats[i]);
      roped_sum_[i] = __fadd_rn(roped_sum_[i], roped_floats[i]);
    }
  }

 private:
  static __device__ __forceinline__ Channels<T> Filled(float value) {
    float floats[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) floats[i] = value;
    return Channels<T>(floats);
  }

  Channels<T> max_, min_;
  float sum_[kCount], roped_sum_[kCount];
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_CUDA_CHANNELS_CUH_
