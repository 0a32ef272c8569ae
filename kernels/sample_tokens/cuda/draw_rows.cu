#include "kernels/sample_tokens/cuda/adjusted_row.cuh"
#include "kernels/sample_tokens/cuda/draw_by_id.cuh"
#include "kernels/sample_tokens/cuda/draw_in_order.cuh"
#include "kernels/sample_tokens/cuda/draw_rows.h"

namespace seer {
namespace cuda {
namespace {

// Dynamic shared memory: the scratch, then a bit a token.
size_t SharedBytes(int32_t vocab_size) {
  const size_t num_words = (vocab_size + kBitsPerWord - 1) / kBitsPerWord;
  return sizeof(DrawScratch) + num_words * sizeof(uint32_t);
}

__device__ __forceinline__ bool IsInOrderOfLogit(const TokenDraw& draw,
                                                 int32_t vocab_size) {
  return (draw.top_k > 0 && draw.top_k < vocab_size) || draw.top_p < 1.0 ||
         draw.min_p > 0.0;
}

// The id that the block's draw draws, or -1; the same in all threads.
template <class Row>
__device__ __forceinline__ int32_t Draw(const Row& row, DrawScratch* scratch) {
  const ThreadBest thread_best = FindThreadBestAdjusted(row);
  if (__syncthreads_or(!thread_best.all_finite)) return -1;
  const TokenKey best = BlockMaxKey(thread_best.key);
  if (best == 0) return -1;
  const TokenDraw& draw = *row.draw;
  if (draw.temperature == 0.0) return IdOf(best);
  const TokenWeights weights(LogitOf(best), draw.temperature);
  return IsInOrderOfLogit(draw, row.vocab_size)
             ? DrawInOrder(row, weights, scratch)
             : DrawById(row, weights, scratch);
}

template <class T, int kLen>
__global__ void __launch_bounds__(kRowThreads)
    DrawRowsKernel(const __grid_constant__ DrawRowsParams p) {
  extern __shared__ uint4 shared[];
  DrawScratch* const scratch = reinterpret_cast<DrawScratch*>(shared);
  AdjustedRow<T, kLen> row;
  row.draw = p.draws + blockIdx.x;
  const int64_t row_index = row.draw->row;
  if (row_index < 0) {
    if (threadIdx.x == 0) p.ids[blockIdx.x] = -1;
    return;
  }
  row.logits = static_cast<const T*>(p.logits) + row_index * p.vocab_size;
  row.vocab_size = p.vocab_size;
  row.adjustments = p.adjustments;
  row.adjusted_bits = reinterpret_cast<uint32_t*>(scratch + 1);
  row.MarkAdjusted();
  const int32_t id = Draw(row, scratch);
  if (threadIdx.x == 0) p.ids[blockIdx.x] = id;
}

template <class T, int kLen>
cudaError_t Launch(const DrawRowsParams& params, cudaStream_t stream) {
  const size_t shared_bytes = SharedBytes(params.vocab_size);
  const cudaError_t error = cudaFuncSetAttribute(
      DrawRowsKernel<T, kLen>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      static_cast<int>(shared_bytes));
  if (error != cudaSuccess) return error;
  DrawRowsKernel<T, kLen><<<static_cast<unsigned>(params.num_draws),
                            kRowThreads, shared_bytes, stream>>>(params);
  return cudaGetLastError();
}

template <class T>
cudaError_t Launch(const DrawRowsParams& params, cudaStream_t stream) {
  return params.by_vectors ? Launch<T, kVectorLen<T>>(params, stream)
                           : Launch<T, 1>(params, stream);
}

}  // namespace

cudaError_t LaunchDrawRows(const DrawRowsParams& params, cudaStream_t stream) {
  return params.dtype == DType::kFloat32 ? Launch<float>(params, stream)
                                         : Launch<DeviceBf16>(params, stream);
}

}  // namespace cuda
}  // namespace seer
