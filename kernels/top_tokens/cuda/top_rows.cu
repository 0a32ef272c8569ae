#include "kernels/cuda/arithmetic.cuh"
#include "kernels/cuda/radix_select.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/cuda/warp_reduce.cuh"
#include "kernels/top_tokens/cuda/top_rows.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarpLanes;

// A token as an integer that orders as tokens do: by logit, then by lower id.
// No two of a row have the same; 0 is none.
using TokenKey = uint64_t;

__device__ __forceinline__ TokenKey KeyOf(float logit, int32_t id) {
  return TokenKey{OrderedKey(logit)} << 32 | ~static_cast<uint32_t>(id);
}
__device__ __forceinline__ int32_t IdOf(TokenKey key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

// A finite logit or -infinity that is at most that of any token whose key is
// at least `key`.
__device__ __forceinline__ float LowestLogit(TokenKey key) {
  constexpr uint32_t kSign = 0x80000000u;
  const uint32_t ordered =
      max(static_cast<uint32_t>(key >> 32), OrderedKey(-INFINITY));
  return __uint_as_float((ordered & kSign) != 0 ? ordered ^ kSign : ~ordered);
}

// Over the block, in a fixed order.
__device__ __forceinline__ float BlockSum(float v) {
  __shared__ float sums[kWarps];
  v = WarpSum(v);
  if (threadIdx.x % kWarpLanes == 0) sums[threadIdx.x / kWarpLanes] = v;
  __syncthreads();
  return WarpSum(sums[threadIdx.x % kWarps]);
}

__device__ __forceinline__ TokenKey WarpMaxKey(TokenKey key) {
#pragma unroll
  for (int d = kWarpLanes / 2; d > 0; d /= 2) {
    const TokenKey other = __shfl_xor_sync(kAllLanes, key, d);
    key = other > key ? other : key;
  }
  return key;
}
__device__ __forceinline__ TokenKey BlockMaxKey(TokenKey key) {
  __shared__ TokenKey keys[kWarps];
  key = WarpMaxKey(key);
  if (threadIdx.x % kWarpLanes == 0) keys[threadIdx.x / kWarpLanes] = key;
  __syncthreads();
  return WarpMaxKey(keys[threadIdx.x % kWarps]);
}

// Consecutive logits, as many as a thread reads at once.
template <class T, int kLen>
struct Logits {
  float values[kLen];

  explicit __device__ __forceinline__ Logits(const Vector<T, kLen>& unit) {
#pragma unroll
    for (int k = 0; k < kLen; ++k) values[k] = ToFloat(unit.values[k]);
  }
  // NaN is left out.
  __device__ __forceinline__ float Max() const {
    float max = values[0];
#pragma unroll
    for (int k = 1; k < kLen; ++k) max = fmaxf(max, values[k]);
    return max;
  }
};

// One row of logits; thread t has its units t, t + kThreads, ... of kLen.
template <class T, int kLength>
struct Row {
  static constexpr int kLen = kLength;
  using Unit = Logits<T, kLen>;

  const T* logits = nullptr;
  int32_t vocab_size = 0;

  __device__ __forceinline__ Vector<T, kLen> Load(int32_t index) const {
    return reinterpret_cast<const Vector<T, kLen>*>(logits)[index];
  }
  // fn(unit, index) of the thread's units, ascending. A few are asked for
  // before the first is waited for.
  template <class Fn>
  __device__ __forceinline__ void ForEachUnit(const Fn& fn) const {
    constexpr int kAtOnce = 4;
    const int32_t num_units = vocab_size / kLen;
    for (int32_t first = threadIdx.x; first < num_units;
         first += kAtOnce * kThreads) {
      Vector<T, kLen> loaded[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int32_t index = first + i * kThreads;
        if (index < num_units) loaded[i] = Load(index);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int32_t index = first + i * kThreads;
        if (index < num_units) fn(Unit(loaded[i]), index);
      }
    }
  }
};

// What one pass over a thread's tokens finds.
struct ThreadBest {
  TokenKey key = 0;  // 0: the thread has no token, or none above -infinity
  bool all_finite = true;
};

template <class R>
__device__ __forceinline__ ThreadBest FindThreadBest(const R& row) {
  constexpr int kLen = R::kLen;
  float best = -INFINITY;
  int32_t best_unit = -1;
  float zero = 0.0f;  // NaN once a logit is not finite
  row.ForEachUnit([&](const typename R::Unit& logits, int32_t index) {
#pragma unroll
    for (int k = 0; k < kLen; ++k) zero = fmaf(logits.values[k], 0.0f, zero);
    const float max = logits.Max();
    if (max > best) {
      best = max;
      best_unit = index;
    }
  });
  ThreadBest result;
  result.all_finite = !isnan(zero);
  if (best_unit < 0) return result;
  const typename R::Unit logits(row.Load(best_unit));
#pragma unroll
  for (int k = kLen - 1; k >= 0; --k) {
    if (logits.values[k] == best) {
      result.key = KeyOf(best, best_unit * kLen + k);
    }
  }
  return result;
}

// A key that the row's num_top best tokens reach, and of each thread's tokens
// none if its best does not: so at most num_top threads have any that do.
__device__ __forceinline__ TokenKey FindBound(TokenKey thread_best,
                                              int32_t num_top) {
  if (__syncthreads_count(thread_best != 0) < num_top) return 1;
  const KeyCut<TokenKey> cut =
      FindCut<TokenKey>(num_top, [thread_best](TokenKey key) {
        return __syncthreads_count(thread_best >= key);
      });
  return cut.num_ties == 0 ? cut.floor + 1 : cut.floor;
}

// Writes the num_top highest of the candidates, of which there are as many at
// least.
template <class T>
__device__ __forceinline__ void WriteTop(const TopRowsParams& p,
                                         const T* logits, int64_t out_begin,
                                         const TokenKey* candidates,
                                         int32_t num_candidates) {
  for (int32_t i = threadIdx.x; i < num_candidates; i += kThreads) {
    const TokenKey own = candidates[i];
    int32_t rank = 0;
    for (int32_t j = 0; j < num_candidates; ++j) rank += candidates[j] > own;
    if (rank >= p.num_top) continue;
    p.ids[out_begin + rank] = IdOf(own);
    p.top_logits[out_begin + rank] = ToFloat(logits[IdOf(own)]);
  }
}

__device__ __forceinline__ void WriteNotFinite(const TopRowsParams& p,
                                               int64_t row_index) {
  for (int32_t i = threadIdx.x; i < p.num_top; i += kThreads) {
    p.ids[row_index * p.num_top + i] = -1;
    p.top_logits[row_index * p.num_top + i] = NAN;
  }
  if (p.log_sum_exp != nullptr && threadIdx.x == 0) {
    p.log_sum_exp[row_index] = NAN;
  }
}

// Puts the thread's tokens whose keys are at least `bound` among the
// candidates, if it is not 0, and returns the sum of its e^(logit - max).
template <class R>
__device__ __forceinline__ float SumAndCollect(const R& row, float max,
                                               TokenKey bound,
                                               TokenKey* candidates,
                                               int32_t* num_candidates) {
  constexpr int kLen = R::kLen;
  const float lowest = bound == 0 ? INFINITY : LowestLogit(bound);
  float sum = 0.0f;
  row.ForEachUnit([&](const typename R::Unit& logits, int32_t index) {
#pragma unroll
    for (int k = 0; k < kLen; ++k) {
      sum += Exp2((logits.values[k] - max) * kLog2E);
    }
    if (logits.Max() < lowest) return;
#pragma unroll
    for (int k = 0; k < kLen; ++k) {
      const TokenKey key = KeyOf(logits.values[k], index * kLen + k);
      if (key >= bound) candidates[atomicAdd(num_candidates, 1)] = key;
    }
  });
  return sum;
}

// Two passes over the row: the best token of each thread, from which follow
// the best of all and a bound for the others wanted; then the sum, and the
// tokens that reach the bound. Greedy decoding needs only the first.
template <class T, int kLen>
__global__ void __launch_bounds__(kThreads)
    TopRowsKernel(const __grid_constant__ TopRowsParams p) {
  extern __shared__ TokenKey candidates[];
  __shared__ int32_t num_candidates;
  const int64_t row_index = blockIdx.x;
  const int64_t out_begin = row_index * p.num_top;
  Row<T, kLen> row;
  row.logits = static_cast<const T*>(p.logits) + row_index * p.vocab_size;
  row.vocab_size = p.vocab_size;

  const ThreadBest best = FindThreadBest(row);
  if (threadIdx.x == 0) num_candidates = 0;
  if (__syncthreads_or(!best.all_finite)) {
    WriteNotFinite(p, row_index);
    return;
  }
  const int32_t best_id = IdOf(BlockMaxKey(best.key));
  const float max = ToFloat(row.logits[best_id]);
  if (p.num_top == 1) {
    if (threadIdx.x == 0) {
      p.ids[out_begin] = best_id;
      p.top_logits[out_begin] = max;
    }
    if (p.log_sum_exp == nullptr) return;
  }

  const TokenKey bound = p.num_top == 1 ? 0 : FindBound(best.key, p.num_top);
  const float sum =
      BlockSum(SumAndCollect(row, max, bound, candidates, &num_candidates));
  if (p.log_sum_exp != nullptr && threadIdx.x == 0) {
    p.log_sum_exp[row_index] = double{max} + log(double{sum});
  }
  if (p.num_top == 1) return;
  WriteTop(p, row.logits, out_begin, candidates, num_candidates);
}

template <class T, int kLen>
cudaError_t Launch(const TopRowsParams& params, cudaStream_t stream) {
  const int64_t num_units = params.vocab_size / kLen;
  const int64_t thread_tokens = (num_units + kThreads - 1) / kThreads * kLen;
  const int64_t num_candidates =
      params.num_top == 1 ? 0 : params.num_top * thread_tokens;
  const size_t shared_bytes = num_candidates * sizeof(TokenKey);
  const cudaError_t error = cudaFuncSetAttribute(
      TopRowsKernel<T, kLen>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      static_cast<int>(shared_bytes));
  if (error != cudaSuccess) return error;
  TopRowsKernel<T, kLen><<<static_cast<unsigned>(params.num_rows), kThreads,
                           shared_bytes, stream>>>(params);
  return cudaGetLastError();
}

template <class T>
cudaError_t Launch(const TopRowsParams& params, cudaStream_t stream) {
  return params.by_vectors ? Launch<T, kVectorLen<T>>(params, stream)
                           : Launch<T, 1>(params, stream);
}

}  // namespace

cudaError_t LaunchTopRows(const TopRowsParams& params, cudaStream_t stream) {
  return params.dtype == DType::kFloat32 ? Launch<float>(params, stream)
                                         : Launch<DeviceBf16>(params, stream);
}

}  // namespace cuda
}  // namespace seer
