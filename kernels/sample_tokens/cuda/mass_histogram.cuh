// Tokens by bins, in the order that a draw walks, and the bin where a count or
// a mass is reached.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_MASS_HISTOGRAM_CUH_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_MASS_HISTOGRAM_CUH_

#include <cstdint>

#include "kernels/cuda/row_block.cuh"
#include "kernels/sample_tokens/cuda/token_weights.cuh"

namespace seer {
namespace cuda {

// Of a beginning of the tokens.
struct Totals {
  uint64_t mass = 0;
  uint32_t count = 0;

  __device__ __forceinline__ void Add(const Totals& other) {
    mass += other.mass;
    count += other.count;
  }
  // Of what `other` has before and this has after it.
  __device__ __forceinline__ Totals Less(const Totals& other) const {
    return {mass - other.mass, count - other.count};
  }
};

// Which beginning is asked for: the shortest that has either.
struct Target {
  uint64_t mass = ~uint64_t{0};
  uint32_t count = ~uint32_t{0};

  __device__ __forceinline__ bool IsReachedBy(const Totals& totals) const {
    return totals.mass >= mass || totals.count >= count;
  }
  // What is left of it after a beginning that does not reach it.
  __device__ __forceinline__ Target After(const Totals& before) const {
    constexpr Target kNone;
    Target rest = *this;
    if (mass != kNone.mass) rest.mass -= before.mass;
    if (count != kNone.count) rest.count -= before.count;
    return rest;
  }
};

// Over the block: of all threads before this one. All threads call it.
__device__ __forceinline__ Totals TotalsBefore(const Totals& own) {
  __shared__ uint64_t masses[kRowWarps];
  __shared__ uint32_t counts[kRowWarps];
  const int lane = threadIdx.x % kWarpLanes;
  const int warp = threadIdx.x / kWarpLanes;
  Totals sum = own;  // of the lanes up to this one
#pragma unroll
  for (int d = 1; d < kWarpLanes; d *= 2) {
    Totals other;
    other.mass = __shfl_up_sync(kAllLanes, sum.mass, d);
    other.count = __shfl_up_sync(kAllLanes, sum.count, d);
    if (lane >= d) sum.Add(other);
  }
  __syncthreads();  // all have read what an earlier call left
  if (lane == kWarpLanes - 1) {
    masses[warp] = sum.mass;
    counts[warp] = sum.count;
  }
  __syncthreads();
  Totals before;  // of the warps before this one
  if (lane < warp) before = {masses[lane], counts[lane]};
#pragma unroll
  for (int d = kWarpLanes / 2; d > 0; d /= 2) {
    Totals other;
    other.mass = __shfl_xor_sync(kAllLanes, before.mass, d);
    other.count = __shfl_xor_sync(kAllLanes, before.count, d);
    before.Add(other);
  }
  before.Add(sum.Less(own));
  return before;
}

// In shared memory. All threads call Clear, then any Add, then all Accumulate,
// with a __syncthreads between.
struct MassHistogram {
  static constexpr int kBinsPerThread = kNumBins / kRowThreads;

  uint32_t low_masses[kNumBins];
  uint32_t high_masses[kNumBins];
  uint32_t counts[kNumBins];

  __device__ __forceinline__ void Clear() {
    for (int i = threadIdx.x; i < kNumBins; i += kRowThreads) {
      low_masses[i] = high_masses[i] = counts[i] = 0;
    }
  }
  // A 64-bit addition by halves: carries are counted, so their order is
  // nothing to the sum.
  __device__ __forceinline__ void Add(uint32_t bin, uint64_t mass) {
    const uint32_t low = static_cast<uint32_t>(mass);
    const uint32_t old = atomicAdd(&low_masses[bin], low);
    const uint32_t carry = old + low < low ? 1 : 0;
    const uint32_t high = static_cast<uint32_t>(mass >> 32) + carry;
    if (high != 0) atomicAdd(&high_masses[bin], high);
    atomicAdd(&counts[bin], 1u);
  }
  // Each bin then has the totals of it and of those before it. Returns those
  // of all.
  __device__ __forceinline__ Totals Accumulate() {
    const int first = threadIdx.x * kBinsPerThread;
    Totals own;
#pragma unroll
    for (int i = 0; i < kBinsPerThread; ++i) own.Add(Through(first + i));
    Totals sum = TotalsBefore(own);
#pragma unroll
    for (int i = 0; i < kBinsPerThread; ++i) {
      sum.Add(Through(first + i));
      low_masses[first + i] = static_cast<uint32_t>(sum.mass);
      high_masses[first + i] = static_cast<uint32_t>(sum.mass >> 32);
      counts[first + i] = sum.count;
    }
    __syncthreads();
    return Through(kNumBins - 1);
  }
  // After Accumulate.
  __device__ __forceinline__ Totals Through(int bin) const {
    return {uint64_t{high_masses[bin]} << 32 | low_masses[bin], counts[bin]};
  }
  __device__ __forceinline__ Totals Before(int bin) const {
    return bin == 0 ? Totals() : Through(bin - 1);
  }
  // fn(bin) in the one thread that has the bin where the target is reached.
  template <class Fn>
  __device__ __forceinline__ void WithBinOf(const Target& target,
                                            const Fn& fn) const {
#pragma unroll
    for (int i = 0; i < kBinsPerThread; ++i) {
      const int bin = threadIdx.x * kBinsPerThread + i;
      if (target.IsReachedBy(Through(bin)) &&
          !target.IsReachedBy(Before(bin))) {
        fn(bin);
      }
    }
  }
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_MASS_HISTOGRAM_CUH_
