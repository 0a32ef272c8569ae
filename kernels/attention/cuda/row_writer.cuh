// Writes a warpgroup's outputs: as the result, or as a part's that the last of
// a row's parts joins.
#ifndef SEER_KERNELS_ATTENTION_CUDA_ROW_WRITER_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_ROW_WRITER_CUH_

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/attention/cuda/online_softmax.cuh"
#include "kernels/attention/cuda/partial_rows.cuh"
#include "kernels/attention/cuda/prefill.h"
#include "kernels/attention/cuda/tile_ring.cuh"
#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {

// Stores a warp's 16 rows, of which the first `num_rows` exist, through
// `staging` so that rows leave in whole lines. Fragment element 4 i + 2 h + c
// is of row h * 8 + lane / 4, channel i * 8 + lane % 4 * 2 + c. `out` is the
// first row's; rows are `row_stride` elements apart.
template <int kHeadDim, class Outputs>
__device__ __forceinline__ void StoreRows(const Outputs& outputs,
                                          const float (&factor)[2],
                                          uint8_t* staging, Element* out,
                                          int64_t row_stride, int num_rows,
                                          int lane) {
  constexpr int kRowBytes = 64 * sizeof(Element);
#pragma unroll
  for (int box = 0; box < kHeadDim / 64; ++box) {
    // 16-byte chunk i of row r is staged as chunk i ^ (r % 8).
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int at = (box * 8 + i) * 4 + h * 2;
        const int row = h * 8 + lane / 4;
        *reinterpret_cast<uint32_t*>(staging + row * kRowBytes +
                                     (i ^ (lane / 4)) * 16 + lane % 4 * 4) =
            PackBf16(outputs(at) * factor[h], outputs(at + 1) * factor[h]);
      }
    }
    __syncwarp();
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = j * 4 + lane / 8;
      const int chunk = lane % 8;
      if (row < num_rows) {
        *reinterpret_cast<uint4*>(out + row * row_stride + box * 64 +
                                  chunk * 8) =
            *reinterpret_cast<const uint4*>(staging + row * kRowBytes +
                                            (chunk ^ (row % 8)) * 16);
      }
    }
    __syncwarp();
  }
}

// Writes one part of the rows, and the rows' result if the others are there.
template <class Ring, class Outputs>
__device__ __forceinline__ void WritePart(const PrefillParams& params,
                                          const RowWork& work, Ring& ring,
                                          const Outputs& outputs,
                                          const float (&factor)[2],
                                          const float (&log2_sum)[2]) {
  constexpr int kHeadDim = Ring::kHeadDim;
  const int thread = WarpgroupThread();
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int64_t num_heads = params.num_query_heads;
  const int64_t first = work.part.first_partial * num_heads + work.head;
  const int64_t slot =
      first + work.part.first_rank / work.part.num_ranks * num_heads;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t row = slot * kBlockSize + warp * 16 + h * 8 + lane / 4;
    if (lane % 4 == 0) params.partial_log2_sums[row] = log2_sum[h];
    float* out = params.partial_outs + row * kHeadDim + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < kHeadDim / 8; ++i) {
      *reinterpret_cast<float2*>(out + i * 8) =
          make_float2(outputs(i * 4 + h * 2) * factor[h],
                      outputs(i * 4 + h * 2 + 1) * factor[h]);
    }
  }
  if (!ArrivedLast(params.arrivals + first, work.NumParts(), thread == 0,
                   &ring.flag, WarpgroupBarrier)) {
    return;
  }
  PartialRow row;
  row.num_parts = work.NumParts();
  row.out_stride = num_heads * kBlockSize * kHeadDim;
  row.sum_stride = num_heads * kBlockSize;
  for (int r = warp; r < work.part.num_rows; r += 4) {
    row.outs = params.partial_outs + (first * kBlockSize + r) * kHeadDim;
    row.log2_sums = params.partial_log2_sums + first * kBlockSize + r;
    const int64_t at = (work.part.row_begin + r) * num_heads + work.head;
    MergeRow<kHeadDim>(
        row, lane,
        params.out != nullptr
            ? static_cast<__nv_bfloat16*>(params.out) + at * kHeadDim
            : nullptr,
        params.log_sum_exp != nullptr ? params.log_sum_exp + at : nullptr);
  }
}

template <class Ring, class Outputs>
__device__ __forceinline__ void WriteRows(const PrefillParams& params,
                                          const RowWork& work, Ring& ring,
                                          const Outputs& outputs,
                                          const OnlineSoftmax& softmax) {
  constexpr int kHeadDim = Ring::kHeadDim;
  const int thread = WarpgroupThread();
  const int warp = thread / 32;
  const int lane = thread % 32;
  float factor[2], log2_sum[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const float sum = softmax.Sum(h);
    factor[h] = sum > 0.0f ? 1.0f / sum : 0.0f;
    log2_sum[h] = softmax.Log2Sum(h, sum);
  }
  if (work.NumParts() > 1) {
    WritePart(params, work, ring, outputs, factor, log2_sum);
    return;
  }
  const int64_t num_heads = params.num_query_heads;
  const int64_t first_row = work.part.row_begin + warp * 16;
  const int num_rows = work.part.num_rows - warp * 16;
  if (params.out != nullptr) {
    StoreRows<kHeadDim>(outputs, factor, ring.staging[warp],
                        static_cast<Element*>(params.out) +
                            (first_row * num_heads + work.head) * kHeadDim,
                        num_heads * kHeadDim, num_rows, lane);
  }
  if (params.log_sum_exp == nullptr || lane % 4 != 0) return;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = h * 8 + lane / 4;
    if (row < num_rows) {
      params.log_sum_exp[(first_row + row) * num_heads + work.head] =
          log2_sum[h] * kLn2;
    }
  }
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_ROW_WRITER_CUH_
