// Rows whose keys are attended in parts: where each part leaves its result,
// and how the part that ends last joins them.
#ifndef SEER_KERNELS_ATTENTION_CUDA_PARTIAL_ROWS_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_PARTIAL_ROWS_CUH_

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {

// One row's parts. Part p's output, as if its keys were all, is at
// p * out_stride, and log2 of its sum of exponentials at p * sum_stride.
struct PartialRow {
  const float* outs = nullptr;
  const float* log2_sums = nullptr;
  int64_t out_stride = 0;
  int64_t sum_stride = 0;
  int32_t num_parts = 0;
};

// Whether the caller is the last of `num_parts` groups of threads to come
// here, in which case it sees what all of them wrote before. `arrivals` is 0
// before and after. `barrier` synchronizes the group; thread 0 of it is
// `leader`; `flag` is the group's, in shared memory.
template <class Barrier>
__device__ __forceinline__ bool ArrivedLast(unsigned* arrivals,
                                            int32_t num_parts, bool leader,
                                            int32_t* flag,
                                            const Barrier& barrier) {
  __threadfence();
  barrier();
  if (leader) {
    *flag = atomicInc(arrivals, num_parts - 1) == num_parts - 1;
    __threadfence();
  }
  barrier();
  return *flag;
}

// Joins a row's parts, in order; `out` and `log_sum_exp` may be null. Run by a
// warp.
template <int kHeadDim>
__device__ __forceinline__ void MergeRow(const PartialRow& row, int lane,
                                         __nv_bfloat16* out,
                                         float* log_sum_exp) {
  constexpr int kPairs = kHeadDim / 64;
  float max = -INFINITY;
  for (int p = 0; p < row.num_parts; ++p) {
    max = fmaxf(max, __ldcg(row.log2_sums + p * row.sum_stride));
  }
  float sum = 0.0f;
  float2 out_sum[kPairs] = {};
  for (int p = 0; p < row.num_parts; ++p) {
    const float weight = Exp2(__ldcg(row.log2_sums + p * row.sum_stride) - max);
    sum += weight;
    const float2* part =
        reinterpret_cast<const float2*>(row.outs + p * row.out_stride);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const float2 v = __ldcg(part + i * 32 + lane);
      out_sum[i].x += weight * v.x;
      out_sum[i].y += weight * v.y;
    }
  }
  if (out != nullptr) {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      reinterpret_cast<uint32_t*>(out)[i * 32 + lane] =
          PackBf16(out_sum[i].x / sum, out_sum[i].y / sum);
    }
  }
  if (log_sum_exp != nullptr && lane == 0) {
    *log_sum_exp = kLn2 * (max + log2f(sum));
  }
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_PARTIAL_ROWS_CUH_
