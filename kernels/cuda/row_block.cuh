// The thread block that has a row of logits, and reductions over it. All of its
// threads call these and get the result, which depends on no timing. Before one
// is called again there must be a __syncthreads.
#ifndef SEER_KERNELS_CUDA_ROW_BLOCK_CUH_
#define SEER_KERNELS_CUDA_ROW_BLOCK_CUH_

#include <cstdint>

#include "kernels/cuda/warp_reduce.cuh"

namespace seer {
namespace cuda {

constexpr int kRowThreads = 1024;
constexpr int kRowWarps = kRowThreads / kWarpLanes;
static_assert(kRowWarps == kWarpLanes, "a warp reduces what each warp has");

__device__ __forceinline__ float BlockSum(float v) {
  __shared__ float sums[kRowWarps];
  v = WarpSum(v);
  if (threadIdx.x % kWarpLanes == 0) sums[threadIdx.x / kWarpLanes] = v;
  __syncthreads();
  return WarpSum(sums[threadIdx.x % kWarpLanes]);
}

__device__ __forceinline__ uint32_t BlockCount(uint32_t count) {
  __shared__ uint32_t counts[kRowWarps];
  count = __reduce_add_sync(kAllLanes, count);
  if (threadIdx.x % kWarpLanes == 0) counts[threadIdx.x / kWarpLanes] = count;
  __syncthreads();
  return __reduce_add_sync(kAllLanes, counts[threadIdx.x % kWarpLanes]);
}

__device__ __forceinline__ uint64_t WarpMaxKey(uint64_t key) {
#pragma unroll
  for (int d = kWarpLanes / 2; d > 0; d /= 2) {
    const uint64_t other = __shfl_xor_sync(kAllLanes, key, d);
    key = other > key ? other : key;
  }
  return key;
}
__device__ __forceinline__ uint64_t BlockMaxKey(uint64_t key) {
  __shared__ uint64_t keys[kRowWarps];
  key = WarpMaxKey(key);
  if (threadIdx.x % kWarpLanes == 0) keys[threadIdx.x / kWarpLanes] = key;
  __syncthreads();
  return WarpMaxKey(keys[threadIdx.x % kWarpLanes]);
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_ROW_BLOCK_CUH_
