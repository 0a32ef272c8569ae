// Softmax of a row whose scores come block by block.
#ifndef SEER_KERNELS_ATTENTION_CUDA_ONLINE_SOFTMAX_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_ONLINE_SOFTMAX_CUH_

#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {

// What one block's scores come to in a thread's two rows.
struct BlockScores {
  float log2_max[2];  // the row's largest score * scale * log2(e)
  float sum[2];       // this thread's share, relative to the running maximum
};

// The two rows that a thread shares with the other three of its quad in a
// matrix fragment: element i of the fragment is of row (i / 2) % 2.
class OnlineSoftmax {
 public:
  // Turns kNum scores of the thread into 2^(score * scale_log2 - max), the
  // running maximum taking them in. What was summed so far, here and in the
  // caller's outputs of row h, is to be multiplied by rescale[h].
  template <int kNum, class Scores>
  __device__ __forceinline__ BlockScores Update(Scores& scores,
                                                float scale_log2,
                                                float (&rescale)[2]) {
    BlockScores block;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float max = scores(2 * h);
#pragma unroll
      for (int i = 2 * h; i < kNum; i += 4) {
        max = fmaxf(max, fmaxf(scores(i), scores(i + 1)));
      }
      // Rounded before it is used, so that a maximum that stays gives exactly
      // 1, and blocks that a row does not see leave no trace.
      block.log2_max[h] = __fmul_rn(QuadMax(max), scale_log2);
      max = fmaxf(max_[h], block.log2_max[h]);
      rescale[h] = Exp2(max_[h] - max);
      max_[h] = max;
      float sum = 0.0f;
#pragma unroll
      for (int i = 2 * h; i < kNum; i += 4) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          scores(i + c) = Exp2(fmaf(scores(i + c), scale_log2, -max));
          sum += scores(i + c);
        }
      }
      sum_[h] = sum_[h] * rescale[h] + sum;
      block.sum[h] = sum;
    }
    return block;
  }

  // The row's largest score * scale_log2; -inf for no scores.
  __device__ __forceinline__ float Log2Max(int h) const { return max_[h]; }
  // The whole row's sum, relative to the maximum. By all lanes.
  __device__ __forceinline__ float Sum(int h) const { return QuadSum(sum_[h]); }
  // log2 of the sum of exponentials, given Sum(h); -inf for no scores.
  __device__ __forceinline__ float Log2Sum(int h, float sum) const {
    return sum > 0.0f ? max_[h] + log2f(sum) : -INFINITY;
  }

 private:
  float max_[2] = {-INFINITY, -INFINITY};
  float sum_[2] = {0.0f, 0.0f};  // this thread's share
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_ONLINE_SOFTMAX_CUH_
