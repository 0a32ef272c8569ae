// The draw over all tokens in order of id: one pass adds up ranges of ids, then
// only the tokens of one range are looked at.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_BY_ID_CUH_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_BY_ID_CUH_

#include <cstdint>

#include "kernels/sample_tokens/cuda/draw_in_order.cuh"

namespace seer {
namespace cuda {

// Ranges are of 2^shift ids: kNumBins of them are the vocabulary, and a unit
// is in one.
template <int kLen>
__device__ __forceinline__ int RangeShift(int32_t vocab_size) {
  int shift = 0;
  while (1 << shift < kLen || (vocab_size - 1) >> shift >= kNumBins) ++shift;
  return shift;
}

// Adds up the weights of ids in the thread's units and of its adjusted tokens.
template <class Row>
__device__ __forceinline__ void AddRanges(const Row& row,
                                          const TokenWeights& weights,
                                          int shift, MassHistogram* ranges) {
  using Unit = typename Row::Unit;
  constexpr int kLen = Row::kLen;
  constexpr int kAtOnce = kLen > 4 ? 2 : 1;  // as many as registers allow
  row.template ForEachUnit<kAtOnce>([&](const Unit& raw, int32_t index) {
    const Unit unit = row.Seen(raw, index);
    uint64_t mass = 0;
#pragma unroll
    for (int k = 0; k < kLen; ++k) mass += weights.Of(unit.values[k]);
    if (mass != 0) ranges->Add(index * kLen >> shift, mass);
  });
  row.ForEachAdjusted([&](float logit, int32_t id) {
    const uint64_t weight = weights.Of(logit);
    if (weight != 0) ranges->Add(id >> shift, weight);
  });
}

// The first id of a range of `num_ids` at which `mass` of it is reached. All
// threads call it and get the id.
template <class Row>
__device__ __forceinline__ int32_t FindInRange(const Row& row,
                                               const TokenWeights& weights,
                                               int32_t begin, int32_t num_ids,
                                               uint64_t mass,
                                               uint64_t* masses) {
  __shared__ int32_t found;
  const int32_t own_id = begin + static_cast<int32_t>(threadIdx.x);
  const bool has_id = own_id < begin + num_ids && own_id < row.vocab_size;
  masses[threadIdx.x] = has_id && !row.IsAdjusted(own_id)
                            ? weights.Of(ToFloat(row.logits[own_id]))
                            : 0;
  __syncthreads();
  row.ForEachAdjusted([&](float logit, int32_t id) {
    if (id >= begin && id - begin < num_ids) {
      masses[id - begin] = weights.Of(logit);
    }
  });
  __syncthreads();
  Totals own;
  own.mass = masses[threadIdx.x];
  const Totals before = TotalsBefore(own);
  if (before.mass < mass && before.mass + own.mass >= mass) found = own_id;
  __syncthreads();
  return found;
}

// The row's tokens have logits up to weights.max(). All threads call it and
// get the id.
template <class Row>
__device__ __forceinline__ int32_t DrawById(const Row& row,
                                            const TokenWeights& weights,
                                            DrawScratch* scratch) {
  static_assert(kMaxSampledVocabulary / kNumBins <= kRowThreads,
                "a thread has an id of a range");
  __shared__ int32_t range;
  const int shift = RangeShift<Row::kLen>(row.vocab_size);
  scratch->finer.Clear();
  __syncthreads();
  AddRanges(row, weights, shift, &scratch->finer);
  __syncthreads();
  const Totals all = scratch->finer.Accumulate();
  Target target;
  target.mass = DrawnMass(row.draw->uniform, all.mass);
  scratch->finer.WithBinOf(target, [&](int bin) { range = bin; });
  __syncthreads();
  return FindInRange(row, weights, range << shift, 1 << shift,
                     target.mass - scratch->finer.Before(range).mass,
                     scratch->sorted);
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_BY_ID_CUH_
