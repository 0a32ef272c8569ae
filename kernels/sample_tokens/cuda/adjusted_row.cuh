// A row of logits as one draw sees it: without a copy of the row, the tokens
// that the draw adjusts are left out of it and visited by themselves.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_ADJUSTED_ROW_CUH_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_ADJUSTED_ROW_CUH_

#include <cfloat>
#include <cstdint>

#include "kernels/cuda/logit_row.cuh"
#include "kernels/sample_tokens/token_draw.h"

namespace seer {
namespace cuda {

__device__ __forceinline__ double ClampToFloat(double logit) {
  constexpr double kLargest = FLT_MAX;
  return fmin(fmax(logit, -kLargest), kLargest);
}

// Every operation rounded, as the reference's are.
__device__ __forceinline__ float AdjustedLogit(float logit,
                                               const TokenAdjustment& a,
                                               const TokenDraw& draw) {
  if (a.banned != 0) return -INFINITY;
  const float biased =
      __double2float_rn(ClampToFloat(__dadd_rn(double{logit}, double{a.bias})));
  if (a.count < 0) return biased;
  double penalized = biased > 0.0f
                         ? __ddiv_rn(double{biased}, draw.repetition_penalty)
                         : __dmul_rn(double{biased}, draw.repetition_penalty);
  if (a.count > 0) {
    const double frequency =
        __dmul_rn(draw.frequency_penalty, static_cast<double>(a.count));
    penalized =
        __dsub_rn(penalized, __dadd_rn(draw.presence_penalty, frequency));
  }
  return __double2float_rn(ClampToFloat(penalized));
}

constexpr int kBitsPerWord = 32;

template <class T, int kLength>
struct AdjustedRow : LogitRow<T, kLength> {
  using Base = LogitRow<T, kLength>;
  using Base::kLen;
  using Base::logits;
  using Base::vocab_size;
  using typename Base::Unit;

  // Of the adjusted tokens, in shared memory; unread if there are none.
  uint32_t* adjusted_bits = nullptr;
  bool any_adjusted = false;
  const TokenDraw* draw = nullptr;
  const TokenAdjustment* adjustments = nullptr;  // of all draws

  // The draw's adjustment i.
  __device__ __forceinline__ const TokenAdjustment& Own(int32_t i) const {
    return adjustments[draw->first_adjustment + i];
  }

  // Fills adjusted_bits. All threads call it.
  __device__ __forceinline__ void MarkAdjusted() {
    any_adjusted = draw->num_adjustments > 0;
    if (!any_adjusted) return;
    const int32_t num_words = (vocab_size + kBitsPerWord - 1) / kBitsPerWord;
    for (int32_t i = threadIdx.x; i < num_words; i += kRowThreads) {
      adjusted_bits[i] = 0;
    }
    __syncthreads();
    for (int32_t i = threadIdx.x; i < draw->num_adjustments; i += kRowThreads) {
      const int32_t id = Own(i).token;
      atomicOr(&adjusted_bits[id / kBitsPerWord], 1u << id % kBitsPerWord);
    }
    __syncthreads();
  }

  __device__ __forceinline__ bool IsAdjusted(int32_t id) const {
    return any_adjusted &&
           (adjusted_bits[id / kBitsPerWord] >> id % kBitsPerWord & 1) != 0;
  }
  // The unit with adjusted tokens at -infinity.
  __device__ __forceinline__ Unit Seen(Unit unit, int32_t index) const {
    static_assert(kBitsPerWord % kLen == 0, "a unit's bits are in one word");
    if (!any_adjusted) return unit;
    const int32_t first = index * kLen;
    const uint32_t bits =
        adjusted_bits[first / kBitsPerWord] >> first % kBitsPerWord;
#pragma unroll
    for (int k = 0; k < kLen; ++k) {
      if ((bits >> k & 1) != 0) unit.values[k] = -INFINITY;
    }
    return unit;
  }

  // fn(logit, id) of the thread's share of the adjusted tokens.
  template <class Fn>
  __device__ __forceinline__ void ForEachAdjusted(const Fn& fn) const {
    if (!any_adjusted) return;
    for (int32_t i = threadIdx.x; i < draw->num_adjustments; i += kRowThreads) {
      const TokenAdjustment a = Own(i);
      fn(AdjustedLogit(ToFloat(logits[a.token]), a, *draw), a.token);
    }
  }
  // fn(logit, id) of all tokens of the thread, in no order; an adjusted one
  // also comes at -infinity.
  template <class Fn>
  __device__ __forceinline__ void ForEachToken(const Fn& fn) const {
    this->template ForEachUnit<2>([&](const Unit& raw, int32_t index) {
      const Unit unit = Seen(raw, index);
#pragma unroll
      for (int k = 0; k < kLen; ++k) fn(unit.values[k], index * kLen + k);
    });
    ForEachAdjusted(fn);
  }
};

// The best token of the thread; of the whole row, `all_finite`.
template <class T, int kLen>
__device__ __forceinline__ ThreadBest
FindThreadBestAdjusted(const AdjustedRow<T, kLen>& row) {
  ThreadBest best = FindThreadBest(row);
  row.ForEachAdjusted([&](float logit, int32_t id) {
    if (logit == -INFINITY) return;
    const TokenKey key = KeyOf(logit, id);
    best.key = key > best.key ? key : best.key;
  });
  return best;
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_ADJUSTED_ROW_CUH_
