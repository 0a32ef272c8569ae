#include "kernels/cuda/arithmetic.cuh"
#include "kernels/cuda/logit_row.cuh"
#include "kernels/cuda/radix_select.cuh"
#include "kernels/cuda/row_block.cuh"
#include "kernels/cuda/token_key.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/top_tokens/cuda/top_rows.h"

namespace seer {
namespace cuda {
namespace {

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
  for (int32_t i = threadIdx.x; i < num_candidates; i += kRowThreads) {
    const TokenKey own = candidates[i];
    int32_t rank = 0;
    for (int32_t j = 0; j < num_candidates; ++j) rank += candidates[j] > own;
    if (rank >= p.num_top) continue;
    p.ids[out_begin + rank] = IdOf(own);
    p.top_logits[out_begin + rank] = ToFloat(logits[IdOf(own)]);
  }
}

// The token whose rank is asked for, if any.
struct ScoredToken {
  int32_t id = -1;
  float logit = INFINITY;  // above all others, so that no token ranks before

  __device__ __forceinline__ bool IsAfter(float other, int32_t other_id) const {
    return other > logit || (other == logit && other_id < id);
  }
};

template <class Row>
__device__ __forceinline__ ScoredToken FindScored(const TopRowsParams& p,
                                                  const Row& row) {
  ScoredToken scored;
  if (p.scored_tokens == nullptr) return scored;
  const int32_t id = p.scored_tokens[blockIdx.x];
  if (id < 0 || id >= p.vocab_size) return scored;
  scored.id = id;
  scored.logit = ToFloat(row.logits[id]);
  return scored;
}

// `rank` is unread where there is no token. One thread calls it.
__device__ __forceinline__ void WriteScored(const TopRowsParams& p,
                                            const ScoredToken& scored,
                                            uint32_t rank) {
  const bool exists = scored.id >= 0;
  p.scored_logits[blockIdx.x] = exists ? scored.logit : NAN;
  p.scored_ranks[blockIdx.x] = exists ? static_cast<int32_t>(rank) : -1;
}

__device__ __forceinline__ void WriteNotFinite(const TopRowsParams& p,
                                               int64_t out_begin) {
  for (int32_t i = threadIdx.x; i < p.num_top; i += kRowThreads) {
    p.ids[out_begin + i] = -1;
    p.top_logits[out_begin + i] = NAN;
  }
  if (threadIdx.x != 0) return;
  if (p.log_sum_exp != nullptr) p.log_sum_exp[blockIdx.x] = NAN;
  if (p.scored_tokens != nullptr) WriteScored(p, ScoredToken(), 0);
}

// Of the thread's tokens.
struct ThreadSums {
  float weights = 0.0f;     // e^(logit - max)
  uint32_t num_better = 0;  // those before the scored token
};

// Puts the thread's tokens whose keys are at least `bound` among the
// candidates, if it is not 0.
template <class Row>
__device__ __forceinline__ ThreadSums SumAndCollect(const Row& row, float max,
                                                    const ScoredToken& scored,
                                                    TokenKey bound,
                                                    TokenKey* candidates,
                                                    int32_t* num_candidates) {
  constexpr int kLen = Row::kLen;
  const float lowest = bound == 0 ? INFINITY : LowestLogit(bound);
  ThreadSums sums;
  row.ForEachUnit([&](const typename Row::Unit& logits, int32_t index) {
#pragma unroll
    for (int k = 0; k < kLen; ++k) {
      sums.weights += Exp2((logits.values[k] - max) * kLog2E);
    }
    const float unit_max = logits.Max();
    if (unit_max >= scored.logit) {
#pragma unroll
      for (int k = 0; k < kLen; ++k) {
        sums.num_better += scored.IsAfter(logits.values[k], index * kLen + k);
      }
    }
    if (unit_max < lowest) return;
#pragma unroll
    for (int k = 0; k < kLen; ++k) {
      const TokenKey key = KeyOf(logits.values[k], index * kLen + k);
      if (key >= bound) candidates[atomicAdd(num_candidates, 1)] = key;
    }
  });
  return sums;
}

// The second pass, over a row that is finite: the sum, the scored token's rank
// and, but for num_top 1, the tokens that reach the bound.
template <class Row>
__device__ __forceinline__ void RankRow(const TopRowsParams& p, const Row& row,
                                        TokenKey thread_best, float max,
                                        TokenKey* candidates,
                                        int32_t* num_candidates) {
  const ScoredToken scored = FindScored(p, row);
  const TokenKey bound = p.num_top == 1 ? 0 : FindBound(thread_best, p.num_top);
  const ThreadSums own =
      SumAndCollect(row, max, scored, bound, candidates, num_candidates);
  const float sum = BlockSum(own.weights);
  const uint32_t num_better = BlockCount(own.num_better);
  if (threadIdx.x == 0) {
    if (p.log_sum_exp != nullptr) {
      p.log_sum_exp[blockIdx.x] = double{max} + log(double{sum});
    }
    if (p.scored_tokens != nullptr) WriteScored(p, scored, num_better);
  }
  if (p.num_top == 1) return;
  WriteTop(p, row.logits, int64_t{blockIdx.x} * p.num_top, candidates,
           *num_candidates);
}

// Two passes over the row: the best token of each thread, from which follow
// the best of all and a bound for the others wanted; then the rest. The
// best token alone needs only the first.
template <class T, int kLen>
__global__ void __launch_bounds__(kRowThreads)
    TopRowsKernel(const __grid_constant__ TopRowsParams p) {
  extern __shared__ TokenKey candidates[];
  __shared__ int32_t num_candidates;
  const int64_t out_begin = int64_t{blockIdx.x} * p.num_top;
  const int64_t row_index = p.row_indices == nullptr
                                ? int64_t{blockIdx.x}
                                : int64_t{p.row_indices[blockIdx.x]};
  if (row_index < 0) {
    WriteNotFinite(p, out_begin);
    return;
  }
  LogitRow<T, kLen> row;
  row.logits = static_cast<const T*>(p.logits) + row_index * p.vocab_size;
  row.vocab_size = p.vocab_size;

  const ThreadBest best = FindThreadBest(row);
  if (threadIdx.x == 0) num_candidates = 0;
  if (__syncthreads_or(!best.all_finite)) {
    WriteNotFinite(p, out_begin);
    return;
  }
  const int32_t best_id = IdOf(BlockMaxKey(best.key));
  const float max = ToFloat(row.logits[best_id]);
  if (p.num_top == 1) {
    if (threadIdx.x == 0) {
      p.ids[out_begin] = best_id;
      p.top_logits[out_begin] = max;
    }
    if (p.log_sum_exp == nullptr && p.scored_tokens == nullptr) return;
  }
  RankRow(p, row, best.key, max, candidates, &num_candidates);
}

template <class T, int kLen>
cudaError_t Launch(const TopRowsParams& params, cudaStream_t stream) {
  const int64_t num_units = params.vocab_size / kLen;
  const int64_t thread_tokens =
      (num_units + kRowThreads - 1) / kRowThreads * kLen;
  const int64_t num_candidates =
      params.num_top == 1 ? 0 : params.num_top * thread_tokens;
  // And one more: the compiler has them compared in pairs, of which the last
  // may be half one.
  const size_t shared_bytes = (num_candidates + 1) * sizeof(TokenKey);
  const cudaError_t error = cudaFuncSetAttribute(
      TopRowsKernel<T, kLen>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      static_cast<int>(shared_bytes));
  if (error != cudaSuccess) return error;
  TopRowsKernel<T, kLen><<<static_cast<unsigned>(params.num_rows), kRowThreads,
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
