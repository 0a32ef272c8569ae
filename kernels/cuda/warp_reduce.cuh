// Reductions over the 32 lanes of a warp, all of which call them and get the
// result. The order is fixed, so results do not depend on anything else.
#ifndef SEER_KERNELS_CUDA_WARP_REDUCE_CUH_
#define SEER_KERNELS_CUDA_WARP_REDUCE_CUH_

#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {

constexpr int kWarpLanes = 32;

// NaN is left out.
__device__ __forceinline__ float WarpMax(float v) {
#pragma unroll
  for (int d = kWarpLanes / 2; d > 0; d /= 2) {
    v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, d));
  }
  return v;
}

__device__ __forceinline__ float WarpSum(float v) {
#pragma unroll
  for (int d = kWarpLanes / 2; d > 0; d /= 2) {
    v += __shfl_xor_sync(kAllLanes, v, d);
  }
  return v;
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_WARP_REDUCE_CUH_
