// The draw over tokens in order of logit: top_k, top_p and min_p each keep a
// beginning of that order, and so does the draw, which picks its last token.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_IN_ORDER_CUH_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_IN_ORDER_CUH_

#include <cstdint>

#include "kernels/sample_tokens/cuda/key_slice.cuh"

namespace seer {
namespace cuda {

// Keys that are sorted at once.
constexpr uint32_t kMaxSorted = 2048;
static_assert(kMaxSorted <= 2 * kRowThreads, "a thread has two of them");

// What a draw works in; shared memory.
struct DrawScratch {
  MassHistogram by_logit;  // TokenWeights::Bin of all tokens
  MassHistogram finer;     // of a slice
  uint64_t sorted[kMaxSorted];
  uint32_t num_sorted;
  // The beginning that is looked for, and where its end is.
  Target target;
  KeySlice slice;
  // Where the beginning found last ends: its last token, and its mass.
  TokenKey last;
  uint64_t mass;
};

// floor(uniform * mass) + 1: the mass that the drawn token's beginning reaches.
__device__ __forceinline__ uint64_t DrawnMass(double uniform, uint64_t mass) {
  // No range was checked here, and a target beyond the mass is never reached.
  const double bounded = fmin(fmax(uniform, 0.0), 1.0 - 0x1p-53);
  const uint64_t bits = static_cast<uint64_t>(bounded * 0x1p53) << 11;
  return __umul64hi(bits, mass) + 1;
}

// The least mass, in 1..mass, that is a share `top_p` of it.
__device__ __forceinline__ uint64_t ShareOf(double top_p, uint64_t mass) {
  const double share = __dmul_rn(top_p, __ull2double_rn(mass));
  const uint64_t rounded = __double2ull_ru(share);
  return rounded < 1 ? 1 : rounded < mass ? rounded : mass;
}

// The lowest key that min_p keeps.
__device__ __forceinline__ TokenKey LowestLikely(const TokenDraw& draw,
                                                 float max) {
  const double temperature = fmax(draw.temperature, kLowestTemperature);
  const double lowest = max + temperature * log(draw.min_p);
  return TokenKey{OrderedKey(__double2float_ru(lowest))} << 32;
}

// Ends what is kept at the lowest token that min_p keeps, if that is earlier.
template <class Row>
__device__ __forceinline__ void KeepLikely(const Row& row,
                                           const TokenWeights& weights,
                                           DrawScratch* scratch) {
  const TokenKey lowest = LowestLikely(*row.draw, weights.max());
  if (lowest <= scratch->last) return;
  if (threadIdx.x == 0) {
    scratch->slice.low = lowest;
    scratch->slice.high = HighestKey(weights);
  }
  __syncthreads();
  Totals own;
  ForEachTokenIn(row, weights, scratch->slice,
                 [&own](TokenKey, uint64_t weight) { own.mass += weight; });
  const Totals before = TotalsBefore(own);
  if (threadIdx.x == kRowThreads - 1) scratch->mass = before.mass + own.mass;
  __syncthreads();
}

// Makes scratch->slice, in which scratch->target is reached, small enough to
// sort.
template <class Row>
__device__ __forceinline__ void NarrowSlice(const Row& row,
                                            const TokenWeights& weights,
                                            DrawScratch* scratch) {
  while (scratch->slice.count > kMaxSorted) {
    const KeySlice& slice = scratch->slice;
    const int shift = slice.BinShift();
    scratch->finer.Clear();
    __syncthreads();
    ForEachTokenIn(row, weights, slice, [&](TokenKey key, uint64_t weight) {
      scratch->finer.Add(static_cast<uint32_t>((slice.high - key) >> shift),
                         weight);
    });
    __syncthreads();
    const Target rest = scratch->target.After(slice.before);
    scratch->finer.Accumulate();
    scratch->finer.WithBinOf(rest, [&](int bin) {
      scratch->slice = slice.Part(scratch->finer, bin, shift);
    });
    __syncthreads();
  }
}

// Finds the beginning that ends in scratch->slice: fills `last` and `mass`.
template <class Row>
__device__ __forceinline__ void EndInSlice(const Row& row,
                                           const TokenWeights& weights,
                                           DrawScratch* scratch) {
  const KeySlice& slice = scratch->slice;
  uint64_t* const keys = scratch->sorted;
  uint32_t num_padded = 2;
  while (num_padded < slice.count) num_padded *= 2;
  if (threadIdx.x == 0) scratch->num_sorted = 0;
  for (uint32_t i = threadIdx.x; i < num_padded; i += kRowThreads) keys[i] = 0;
  __syncthreads();
  ForEachTokenIn(row, weights, slice, [&](TokenKey key, uint64_t) {
    keys[atomicAdd(&scratch->num_sorted, 1u)] = key;
  });
  SortDescending(keys, num_padded);

  const Target target = scratch->target;
  const uint32_t first = 2 * threadIdx.x;
  Totals pair[2];
#pragma unroll
  for (uint32_t i = 0; i < 2; ++i) {
    if (first + i < slice.count) {
      pair[i] = {weights.Of(LogitOf(keys[first + i])), 1};
    }
  }
  Totals own = pair[0];
  own.Add(pair[1]);
  Totals through = TotalsBefore(own);
  through.Add(slice.before);
#pragma unroll
  for (uint32_t i = 0; i < 2; ++i) {
    const bool before = target.IsReachedBy(through);
    through.Add(pair[i]);
    if (!before && target.IsReachedBy(through)) {
      scratch->last = keys[first + i];
      scratch->mass = through.mass;
    }
  }
  __syncthreads();
}

// Finds the beginning of scratch->target: fills `last` and `mass`.
template <class Row>
__device__ __forceinline__ void EndAt(const Row& row,
                                      const TokenWeights& weights,
                                      DrawScratch* scratch) {
  scratch->by_logit.WithBinOf(scratch->target, [&](int bin) {
    scratch->slice = SliceOfBin(weights, scratch->by_logit, bin);
  });
  __syncthreads();
  NarrowSlice(row, weights, scratch);
  EndInSlice(row, weights, scratch);
}

// The row's tokens have logits up to weights.max(). All threads call it and
// get the id.
template <class Row>
__device__ __forceinline__ int32_t DrawInOrder(const Row& row,
                                               const TokenWeights& weights,
                                               DrawScratch* scratch) {
  const TokenDraw& draw = *row.draw;
  scratch->by_logit.Clear();
  __syncthreads();
  row.ForEachToken([&](float logit, int32_t) {
    const uint64_t weight = weights.Of(logit);
    if (weight != 0) scratch->by_logit.Add(weights.Bin(logit), weight);
  });
  __syncthreads();
  const Totals all = scratch->by_logit.Accumulate();
  if (threadIdx.x == 0) {
    scratch->last = 0;
    scratch->mass = all.mass;
  }
  __syncthreads();

  // A loop so that the compiler has one EndAt.
  enum { kTopK, kTopP, kDraw, kNumSteps };
#pragma unroll 1
  for (int step = kTopK; step < kNumSteps; ++step) {
    Target target;  // the same in all threads
    if (step == kTopK) {
      // Tokens that weigh nothing are not counted: they are never drawn.
      if (draw.top_k <= 0 || static_cast<uint32_t>(draw.top_k) >= all.count) {
        continue;
      }
      target.count = draw.top_k;
    } else if (step == kTopP) {
      if (draw.top_p >= 1.0) continue;
      target.mass = ShareOf(draw.top_p, scratch->mass);
    } else {
      if (draw.min_p > 0.0) KeepLikely(row, weights, scratch);
      target.mass = DrawnMass(draw.uniform, scratch->mass);
    }
    __syncthreads();  // all have read `mass`
    if (threadIdx.x == 0) scratch->target = target;
    __syncthreads();
    EndAt(row, weights, scratch);
  }
  return IdOf(scratch->last);
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_IN_ORDER_CUH_
