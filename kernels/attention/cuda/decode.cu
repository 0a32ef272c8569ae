#include "kernels/attention/cuda/decode.h"
#include "kernels/attention/cuda/online_softmax.cuh"
#include "kernels/attention/cuda/page_fragments.cuh"
#include "kernels/attention/cuda/partial_rows.cuh"
#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {
namespace {

constexpr int kWarps = 4;

// Where a thread block's rows stand: some generated rows of a tile, all query
// heads of one KV head, one part of the blocks. Row m of the product is
// generated row m / group and head m % group.
struct DecodeRows {
  Tile tile;
  int32_t kv_head = 0;
  int32_t group = 0;
  int32_t first_row = 0;     // in the tile
  int32_t num_products = 0;  // rows of the product that exist; <= 0: none
  int32_t part = 0;
  int64_t index = 0;  // of (tile, chunk, KV head)

  __device__ __forceinline__ int Row(int m) const {
    return first_row + m / group;
  }
  __device__ __forceinline__ int64_t RowHead(int m, int num_heads) const {
    return int64_t{tile.row_begin + Row(m)} * num_heads + kv_head * group +
           m % group;
  }
};

__device__ __forceinline__ DecodeRows RowsOf(const DecodeParams& p) {
  DecodeRows rows;
  const int32_t chunk_index = blockIdx.x / p.max_parts;
  const int32_t chunk = chunk_index % p.num_chunks;
  rows.part = blockIdx.x % p.max_parts;
  rows.tile = p.tiles[chunk_index / p.num_chunks];
  rows.kv_head = blockIdx.y;
  rows.group = p.num_query_heads / p.num_kv_heads;
  const int32_t chunk_rows = DecodeChunkRows(rows.group);
  rows.first_row = chunk * chunk_rows;
  rows.num_products =
      min(chunk_rows, rows.tile.num_rows - rows.first_row) * rows.group;
  rows.index = int64_t{chunk_index} * p.num_kv_heads + rows.kv_head;
  return rows;
}

template <int kHeadDim>
struct DecodeMemory {
  // Padded so that 8 rows' 16-byte pieces lie in different banks.
  static constexpr int kQueryStride = kHeadDim + 8;
  static constexpr int kOutStride = kHeadDim + 4;
  alignas(16) __nv_bfloat16 queries[kDecodeRows * kQueryStride];
  alignas(16) float outs[kWarps][kDecodeRows * kOutStride];
  float log2_max[kWarps][kDecodeRows];
  float sums[kWarps][kDecodeRows];
  int32_t flag;
};

template <int kHeadDim>
__device__ __forceinline__ void LoadQueries(const DecodeParams& p,
                                            const DecodeRows& rows,
                                            DecodeMemory<kHeadDim>& memory) {
  constexpr int kPieces = kHeadDim / 8;
  for (int i = threadIdx.x; i < kDecodeRows * kPieces; i += kWarps * 32) {
    const int m = i / kPieces;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (m < rows.num_products) {
      v = reinterpret_cast<const uint4*>(
          static_cast<const __nv_bfloat16*>(p.queries) +
          rows.RowHead(m, p.num_query_heads) * kHeadDim)[i % kPieces];
    }
    *reinterpret_cast<uint4*>(memory.queries +
                              m * DecodeMemory<kHeadDim>::kQueryStride +
                              i % kPieces * 8) = v;
  }
}

// One warp's running attention of the 16 rows.
template <int kHeadDim>
struct WarpState {
  OnlineSoftmax softmax;
  float outputs[kHeadDim / 64][8][4] = {};
};

// Elements of two 8-key score fragments, row by row as OnlineSoftmax has them.
struct StepScores {
  float values[2][4] = {};
  __device__ __forceinline__ float& operator()(int i) {
    return values[i / 4][i % 4];
  }
};

// Sets scores of keys that the rows do not see to -inf: of row g + 8 h, those
// from key first_masked[h] of the step on.
__device__ __forceinline__ void MaskStep(const int (&first_masked)[2], int lane,
                                         StepScores& scores) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int key = i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (key >= first_masked[i / 2 % 2]) scores(i) = -INFINITY;
  }
}

// Takes in the scores and values of kStepKeys keys.
template <int kHeadDim>
__device__ __forceinline__ void AddStep(StepScores& scores,
                                        const ValueFragment<kHeadDim>& values,
                                        float scale_log2,
                                        WarpState<kHeadDim>& state) {
  float rescale[2];
  state.softmax.template Update<8>(scores, scale_log2, rescale);
#pragma unroll
  for (int c = 0; c < kHeadDim / 64; ++c) {
#pragma unroll
    for (int e = 0; e < 8; ++e) {
#pragma unroll
      for (int i = 0; i < 4; ++i) state.outputs[c][e][i] *= rescale[i / 2];
    }
  }
  const uint32_t probabilities[4] = {
      PackBf16(scores(0), scores(1)), PackBf16(scores(2), scores(3)),
      PackBf16(scores(4), scores(5)), PackBf16(scores(6), scores(7))};
  values.Accumulate(probabilities, state.outputs);
}

// Where a warp reads: a walk over steps of its pages, every kWarps-th page of
// the part.
template <int kHeadDim>
class StepWalk {
 public:
  __device__ __forceinline__ StepWalk(const DecodeParams& p,
                                      const DecodeRows& rows, int warp)
      : page_table_(p.sequences[rows.tile.sequence].page_table),
        pages_(static_cast<const __nv_bfloat16*>(p.pages)),
        kv_head_(rows.kv_head),
        num_kv_heads_(p.num_kv_heads),
        last_block_(rows.tile.block),
        last_keys_(rows.tile.offset + rows.tile.num_rows) {
    const int32_t blocks = DecodePartBlocks(last_block_ + 1);
    block_ = rows.part * blocks + warp;
    end_ = min((rows.part + 1) * blocks, last_block_ + 1);
    if (!AtEnd()) page_ = page_table_[block_];
    if (block_ + kWarps < end_) next_page_ = page_table_[block_ + kWarps];
  }

  __device__ __forceinline__ bool AtEnd() const { return block_ >= end_; }
  __device__ __forceinline__ void Advance() {
    key_ += kStepKeys;
    if (key_ < NumKeys()) return;
    key_ = 0;
    block_ += kWarps;
    page_ = next_page_;
    if (block_ + kWarps < end_) next_page_ = page_table_[block_ + kWarps];
  }
  // Keys of the block that there are.
  __device__ __forceinline__ int NumKeys() const {
    return block_ == last_block_ ? last_keys_ : kBlockSize;
  }
  __device__ __forceinline__ bool InLastBlock() const {
    return block_ == last_block_;
  }
  __device__ __forceinline__ int key() const { return key_; }
  __device__ __forceinline__ void Load(KeyFragment<kHeadDim>& keys,
                                       int lane) const {
    if (!AtEnd()) keys.Load(At(0), NumKeys() - key_, lane);
  }
  __device__ __forceinline__ void Load(ValueFragment<kHeadDim>& values,
                                       int lane) const {
    if (!AtEnd()) values.Load(At(1), NumKeys() - key_, lane);
  }

 private:
  __device__ __forceinline__ const __nv_bfloat16* At(int kind) const {
    const int64_t tile = (int64_t{page_} * 2 + kind) * num_kv_heads_ + kv_head_;
    return pages_ + (tile * kBlockSize + key_) * kHeadDim;
  }

  const int32_t* const page_table_;
  const __nv_bfloat16* const pages_;
  const int32_t kv_head_, num_kv_heads_, last_block_, last_keys_;
  int32_t block_ = 0, end_ = 0;
  int32_t page_ = 0, next_page_ = 0;
  int32_t key_ = 0;  // first of the step, in its block
};

// The next step's keys and values are under way while one is computed.
template <int kHeadDim>
__device__ __forceinline__ void AttendPages(const DecodeParams& p,
                                            const DecodeRows& rows,
                                            const __nv_bfloat16* queries,
                                            int warp, int lane,
                                            WarpState<kHeadDim>& state) {
  StepWalk<kHeadDim> walk(p, rows, warp);
  KeyFragment<kHeadDim> keys;
  ValueFragment<kHeadDim> values;
  walk.Load(keys, lane);
  walk.Load(values, lane);
  while (!walk.AtEnd()) {
    StepScores scores;
    keys.template Score<DecodeMemory<kHeadDim>::kQueryStride>(queries, lane,
                                                              scores.values);
    if (walk.InLastBlock()) {
      int first_masked[2];
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int row = rows.Row(lane / 4 + 8 * h);
        first_masked[h] = rows.tile.offset + row + 1 - walk.key();
      }
      MaskStep(first_masked, lane, scores);
    }
    walk.Advance();
    walk.Load(keys, lane);
    AddStep(scores, values, p.scale_log2, state);
    walk.Load(values, lane);
  }
}

template <int kHeadDim>
__device__ __forceinline__ void StageState(const WarpState<kHeadDim>& state,
                                           int warp, int lane,
                                           DecodeMemory<kHeadDim>& memory) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int m = lane / 4 + 8 * h;
    const float sum = state.softmax.Sum(h);
    if (lane % 4 == 0) {
      memory.log2_max[warp][m] = state.softmax.Log2Max(h);
      memory.sums[warp][m] = sum;
    }
    float* out = memory.outs[warp] + m * DecodeMemory<kHeadDim>::kOutStride;
#pragma unroll
    for (int c = 0; c < kHeadDim / 64; ++c) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        const int channel = c * 64 + lane % 4 * 16 + e;
        out[channel] = state.outputs[c][e][2 * h];
        out[channel + 8] = state.outputs[c][e][2 * h + 1];
      }
    }
  }
}

// Joins what the warps staged of row m and writes it: the result if the rows
// have one part, or the part's. Run by a warp.
template <int kHeadDim>
__device__ __forceinline__ void WriteRow(const DecodeParams& p,
                                         const DecodeRows& rows, int num_parts,
                                         int m, int lane,
                                         const DecodeMemory<kHeadDim>& memory) {
  constexpr int kPairs = kHeadDim / 64;
  float max = memory.log2_max[0][m];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) max = fmaxf(max, memory.log2_max[w][m]);
  float sum = 0.0f;
  float2 out[kPairs] = {};
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    const float weight = Exp2(memory.log2_max[w][m] - max);
    sum += weight * memory.sums[w][m];
    const float2* from = reinterpret_cast<const float2*>(
        memory.outs[w] + m * DecodeMemory<kHeadDim>::kOutStride);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      out[i].x += weight * from[i * 32 + lane].x;
      out[i].y += weight * from[i * 32 + lane].y;
    }
  }
  const float log2_sum = max + log2f(sum);
  if (num_parts > 1) {
    const int64_t at = (rows.index * p.max_parts + rows.part) * kDecodeRows + m;
    if (lane == 0) p.partial_log2_sums[at] = log2_sum;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      reinterpret_cast<float2*>(p.partial_outs + at * kHeadDim)[i * 32 + lane] =
          make_float2(out[i].x / sum, out[i].y / sum);
    }
    return;
  }
  const int64_t at = rows.RowHead(m, p.num_query_heads);
  uint32_t* to = reinterpret_cast<uint32_t*>(
      static_cast<__nv_bfloat16*>(p.out) + at * kHeadDim);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    to[i * 32 + lane] = PackBf16(out[i].x / sum, out[i].y / sum);
  }
  if (p.log_sum_exp != nullptr && lane == 0) {
    p.log_sum_exp[at] = kLn2 * log2_sum;
  }
}

template <int kHeadDim>
__device__ __forceinline__ void MergeParts(const DecodeParams& p,
                                           const DecodeRows& rows,
                                           int num_parts, int warp, int lane) {
  PartialRow row;
  row.num_parts = num_parts;
  row.sum_stride = kDecodeRows;
  row.out_stride = kDecodeRows * kHeadDim;
  for (int m = warp; m < rows.num_products; m += kWarps) {
    const int64_t first = rows.index * p.max_parts * kDecodeRows + m;
    row.outs = p.partial_outs + first * kHeadDim;
    row.log2_sums = p.partial_log2_sums + first;
    const int64_t at = rows.RowHead(m, p.num_query_heads);
    MergeRow<kHeadDim>(row, lane,
                       static_cast<__nv_bfloat16*>(p.out) + at * kHeadDim,
                       p.log_sum_exp != nullptr ? p.log_sum_exp + at : nullptr);
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32, 2)
    DecodeKernel(const __grid_constant__ DecodeParams p) {
  __shared__ DecodeMemory<kHeadDim> memory;
  const DecodeRows rows = RowsOf(p);
  const int32_t num_parts = NumDecodeParts(rows.tile.block + 1);
  if (rows.num_products <= 0 || rows.part >= num_parts) return;
  LoadQueries(p, rows, memory);
  __syncthreads();

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  WarpState<kHeadDim> state;
  AttendPages(p, rows, memory.queries, warp, lane, state);
  StageState(state, warp, lane, memory);
  __syncthreads();
  for (int m = warp; m < rows.num_products; m += kWarps) {
    WriteRow(p, rows, num_parts, m, lane, memory);
  }
  if (num_parts > 1 &&
      ArrivedLast(p.arrivals + rows.index, num_parts, threadIdx.x == 0,
                  &memory.flag, [] { __syncthreads(); })) {
    MergeParts<kHeadDim>(p, rows, num_parts, warp, lane);
  }
}

}  // namespace

cudaError_t LaunchDecode(const DecodeParams& params, int head_dim,
                         cudaStream_t stream) {
  const dim3 grid(params.num_tiles * params.num_chunks * params.max_parts,
                  params.num_kv_heads);
  if (head_dim == 128) {
    DecodeKernel<128><<<grid, kWarps * 32, 0, stream>>>(params);
  } else {
    DecodeKernel<64><<<grid, kWarps * 32, 0, stream>>>(params);
  }
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
