// A token of a row of logits as an integer that orders as tokens do: by logit,
// then by lower id.
#ifndef SEER_KERNELS_CUDA_TOKEN_KEY_CUH_
#define SEER_KERNELS_CUDA_TOKEN_KEY_CUH_

#include <cstdint>

#include "kernels/cuda/radix_select.cuh"

namespace seer {
namespace cuda {

// No two tokens of a row have the same; 0 is none.
using TokenKey = uint64_t;

__device__ __forceinline__ TokenKey KeyOf(float logit, int32_t id) {
  return TokenKey{OrderedKey(logit)} << 32 | ~static_cast<uint32_t>(id);
}
__device__ __forceinline__ int32_t IdOf(TokenKey key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

// The float, no NaN, of an OrderedKey; 0 of both zeros'.
__device__ __forceinline__ float FloatOf(uint32_t ordered) {
  constexpr uint32_t kSign = 0x80000000u;
  return __uint_as_float((ordered & kSign) != 0 ? ordered ^ kSign : ~ordered);
}
__device__ __forceinline__ float LogitOf(TokenKey key) {
  return FloatOf(static_cast<uint32_t>(key >> 32));
}

// A finite logit or -infinity that is at most that of any token whose key is
// at least `key`, which need not be a token's.
__device__ __forceinline__ float LowestLogit(TokenKey key) {
  return FloatOf(max(static_cast<uint32_t>(key >> 32), OrderedKey(-INFINITY)));
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_TOKEN_KEY_CUH_
