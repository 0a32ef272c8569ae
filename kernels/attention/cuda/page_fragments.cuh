// Keys and values of a page as operands of mma.m16n8k16, loaded from global
// memory in 16-byte pieces without a stop in shared memory.
//
// The instruction wants pairs of neighbouring elements spread over the lanes.
// Sums do not care for the order of their terms, so each lane takes its pairs
// from 16 bytes that it loads whole: scores sum channels in another order, the
// same for queries and keys; outputs come in another order of channels, put
// right where they are stored. Below, g = lane / 4 and t = lane % 4.
#ifndef SEER_KERNELS_ATTENTION_CUDA_PAGE_FRAGMENTS_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_PAGE_FRAGMENTS_CUH_

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/matrix_fragments.cuh"

namespace seer {
namespace cuda {

// Keys of one step of a warp.
constexpr int kStepKeys = 16;

// 16 bytes that no one reads again soon; zeros unless `exists`.
__device__ __forceinline__ uint4 LoadStream(const __nv_bfloat16* at,
                                            bool exists) {
  uint4 v = make_uint4(0, 0, 0, 0);
  if (exists) {
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(at));
  }
  return v;
}

// 16 keys: lane (g, t) has channels 32 i + 8 t .. + 7 of keys g and g + 8.
template <int kHeadDim>
struct KeyFragment {
  uint4 words[2][kHeadDim / 32];

  // `keys` is the first key's; keys from `num_keys` on are zeros.
  __device__ __forceinline__ void Load(const __nv_bfloat16* keys, int num_keys,
                                       int lane) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const int key = n * 8 + lane / 4;
#pragma unroll
      for (int i = 0; i < kHeadDim / 32; ++i) {
        words[n][i] = LoadStream(keys + key * kHeadDim + i * 32 + lane % 4 * 8,
                                 key < num_keys);
      }
    }
  }

  // scores[n] += queries x keys 8 n .. 8 n + 7. `queries` [16][kHeadDim] are
  // in shared memory, rows kStride elements apart.
  template <int kStride>
  __device__ __forceinline__ void Score(const __nv_bfloat16* queries, int lane,
                                        float (&scores)[2][4]) const {
#pragma unroll
    for (int i = 0; i < kHeadDim / 32; ++i) {
      const __nv_bfloat16* at =
          queries + lane / 4 * kStride + i * 32 + lane % 4 * 8;
      const uint4 q0 = *reinterpret_cast<const uint4*>(at);
      const uint4 q8 = *reinterpret_cast<const uint4*>(at + 8 * kStride);
      const uint32_t low[4] = {q0.x, q8.x, q0.y, q8.y};
      const uint32_t high[4] = {q0.z, q8.z, q0.w, q8.w};
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        MultiplyAdd(scores[n], low, words[n][i].x, words[n][i].y);
        MultiplyAdd(scores[n], high, words[n][i].z, words[n][i].w);
      }
    }
  }
};

// 16 values: lane (g, t) has channels 64 c + 8 g .. + 7 of those of keys 2t,
// 2t + 1, 2t + 8 and 2t + 9.
template <int kHeadDim>
struct ValueFragment {
  uint4 words[4][kHeadDim / 64];

  __device__ __forceinline__ void Load(const __nv_bfloat16* values,
                                       int num_keys, int lane) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int key = lane % 4 * 2 + k / 2 * 8 + k % 2;
#pragma unroll
      for (int c = 0; c < kHeadDim / 64; ++c) {
        words[k][c] = LoadStream(
            values + key * kHeadDim + c * 64 + lane / 4 * 8, key < num_keys);
      }
    }
  }

  // outputs[c][e] += probabilities x values: elements 0 and 2 are channel
  // 64 c + 16 t + e, elements 1 and 3 channel 64 c + 16 t + 8 + e.
  __device__ __forceinline__ void Accumulate(
      const uint32_t (&probabilities)[4],
      float (&outputs)[kHeadDim / 64][8][4]) const {
#pragma unroll
    for (int c = 0; c < kHeadDim / 64; ++c) {
      const uint32_t* w[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        w[k] = reinterpret_cast<const uint32_t*>(&words[k][c]);
      }
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        // The lower or the upper halves of two words.
        const uint32_t halves = e % 2 == 0 ? 0x5410 : 0x7632;
        MultiplyAdd(outputs[c][e], probabilities,
                    __byte_perm(w[0][e / 2], w[1][e / 2], halves),
                    __byte_perm(w[2][e / 2], w[3][e / 2], halves));
      }
    }
  }
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_PAGE_FRAGMENTS_CUH_
