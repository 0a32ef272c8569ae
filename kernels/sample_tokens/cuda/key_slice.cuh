// The part of a row's order in which a target is reached, made smaller pass by
// pass until it can be sorted.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_KEY_SLICE_CUH_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_KEY_SLICE_CUH_

#include <cstdint>

#include "kernels/cuda/token_key.cuh"
#include "kernels/sample_tokens/cuda/mass_histogram.cuh"
#include "kernels/sample_tokens/cuda/token_weights.cuh"

namespace seer {
namespace cuda {

// Tokens of consecutive keys, `high` first.
struct KeySlice {
  TokenKey low = 0;
  TokenKey high = 0;
  Totals before;       // of all tokens with higher keys
  uint32_t count = 0;  // tokens in it that weigh something

  __device__ __forceinline__ bool Has(TokenKey key) const {
    return key >= low && key <= high;
  }
  // Bits that a key's distance from `high` is shifted by to be a bin.
  __device__ __forceinline__ int BinShift() const {
    constexpr int kKeyBits = 64;
    constexpr int kBinBits = 11;
    static_assert(1 << kBinBits == kNumBins, "distances fill the bins");
    const int num_bits = kKeyBits - __clzll(high - low);
    return num_bits > kBinBits ? num_bits - kBinBits : 0;
  }
  // The part of it in that bin, whose totals are `bins`'.
  __device__ __forceinline__ KeySlice Part(const MassHistogram& bins, int bin,
                                           int shift) const {
    KeySlice part;
    part.high = high - (static_cast<uint64_t>(bin) << shift);
    const TokenKey last = part.high - ((uint64_t{1} << shift) - 1);
    // At the low end the bin may reach further than the slice.
    part.low = part.high - low < (uint64_t{1} << shift) ? low : last;
    part.before = before;
    part.before.Add(bins.Before(bin));
    part.count = bins.Through(bin).Less(bins.Before(bin)).count;
    return part;
  }
};

// The lowest OrderedKey of a logit, at most max, whose bin is at most `bin`.
__device__ __forceinline__ uint32_t LowestKeyInBin(const TokenWeights& weights,
                                                   uint32_t bin) {
  uint32_t low = OrderedKey(-FLT_MAX);
  uint32_t high = OrderedKey(weights.max());  // its bin is 0
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (weights.Bin(FloatOf(middle)) <= bin) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// At least that of any token of the row.
__device__ __forceinline__ TokenKey HighestKey(const TokenWeights& weights) {
  return (TokenKey{OrderedKey(weights.max())} + 1 << 32) - 1;
}

// The slice of the keys whose logits are in a bin of `bins`, which has the
// row's tokens by TokenWeights::Bin.
__device__ __forceinline__ KeySlice SliceOfBin(const TokenWeights& weights,
                                               const MassHistogram& bins,
                                               int bin) {
  KeySlice slice;
  slice.low = TokenKey{LowestKeyInBin(weights, bin)} << 32;
  slice.high = bin == 0
                   ? HighestKey(weights)
                   : (TokenKey{LowestKeyInBin(weights, bin - 1)} << 32) - 1;
  slice.before = bins.Before(bin);
  slice.count = bins.Through(bin).Less(slice.before).count;
  return slice;
}

// fn(key, weight) of the thread's tokens in the slice that weigh something.
template <class Row, class Fn>
__device__ __forceinline__ void ForEachTokenIn(const Row& row,
                                               const TokenWeights& weights,
                                               const KeySlice& slice,
                                               const Fn& fn) {
  const float lowest = LogitOf(slice.low);
  const float highest = LogitOf(slice.high);
  row.ForEachToken([&](float logit, int32_t id) {
    if (!(logit >= lowest && logit <= highest)) return;
    const TokenKey key = KeyOf(logit, id);
    if (!slice.Has(key)) return;
    const uint64_t weight = weights.Of(logit);
    if (weight != 0) fn(key, weight);
  });
}

// Sorts `num_keys` keys in shared memory, a power of two of at least 2 and at
// most twice the threads, highest first. The bitonic network.
__device__ __forceinline__ void SortDescending(TokenKey* keys,
                                               uint32_t num_keys) {
  for (uint32_t run = 2; run <= num_keys; run *= 2) {
    for (uint32_t stride = run / 2; stride > 0; stride /= 2) {
      __syncthreads();
      if (threadIdx.x >= num_keys / 2) continue;
      const uint32_t offset = threadIdx.x & (stride - 1);
      const uint32_t first = 2 * (threadIdx.x - offset) + offset;
      const uint32_t second = first + stride;
      const TokenKey a = keys[first];
      const TokenKey b = keys[second];
      if ((a < b) == ((first & run) == 0)) {
        keys[first] = b;
        keys[second] = a;
      }
    }
  }
  __syncthreads();
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_KEY_SLICE_CUH_
