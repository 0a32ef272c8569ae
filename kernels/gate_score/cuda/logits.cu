#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/matrix_fragments.cuh"
#include "kernels/gate_score/cuda/logits.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kRows = 64;     // scored tiles of a thread block
constexpr int kColumns = 64;  // key blocks of a thread block
constexpr int kWarps = 4;     // 2 x 2, each with a quarter of the product
constexpr int kThreads = kWarps * 32;
constexpr int kWarpRows = kRows / 2;
constexpr int kWarpColumns = kColumns / 2;

template <int kHeadDim>
struct LogitsMemory {
  // Padded so that 8 rows' 16-byte pieces lie in different banks; staged rows
  // so that 4 rows' pairs do.
  static constexpr int kStride = kHeadDim + 8;
  static constexpr int kStagedStride = kWarpColumns + 8;
  alignas(16) __nv_bfloat16 queries[kRows * kStride];
  alignas(16) __nv_bfloat16 keys[kColumns * kStride];
  float staged[kWarps][16 * kStagedStride];
  int32_t tiles[kRows];      // index into the batch's tiles
  int32_t sequences[kRows];  // the tile's sequence; -1: no such tile
  int32_t blocks[kRows];     // the tile's block
  int32_t pages[kColumns];   // of the key blocks; -1: none of the rows sees it
};

// Neighbouring rows of one sequence.
struct Run {
  int begin, end;
  int32_t last_block;  // of its last row, which sees the most
};

template <int kHeadDim>
__device__ __forceinline__ void ReadTiles(const GateParams& p, int first_row,
                                          LogitsMemory<kHeadDim>& memory) {
  if (threadIdx.x >= kRows) return;
  const int row = threadIdx.x;
  memory.sequences[row] = -1;
  if (first_row + row >= p.num_scored_tiles) return;
  const int32_t tile_index = p.tile_indices[first_row + row];
  memory.tiles[row] = tile_index;
  memory.sequences[row] = p.batch.tiles[tile_index].sequence;
  memory.blocks[row] = p.batch.tiles[tile_index].block;
}

template <int kHeadDim>
__device__ __forceinline__ Run RunFrom(int begin,
                                       const LogitsMemory<kHeadDim>& memory) {
  Run run;
  run.begin = begin;
  run.end = begin + 1;
  while (run.end < kRows &&
         memory.sequences[run.end] == memory.sequences[begin]) {
    ++run.end;
  }
  run.last_block = memory.blocks[run.end - 1];
  return run;
}

template <int kHeadDim>
__device__ __forceinline__ void ReadPages(const GateParams& p, const Run& run,
                                          int first_column,
                                          LogitsMemory<kHeadDim>& memory) {
  if (threadIdx.x >= kColumns) return;
  const int block = first_column + threadIdx.x;
  const int32_t* page_table =
      p.batch.sequences[memory.sequences[run.begin]].page_table;
  memory.pages[threadIdx.x] = block <= run.last_block ? page_table[block] : -1;
}

// Starts to fetch kCount rows of D elements, row i from `from(i)`: zeros where
// that is null.
template <int kHeadDim, int kCount, class From>
__device__ __forceinline__ void FetchRows(const From& from,
                                          __nv_bfloat16* rows) {
  constexpr int kPieces = kHeadDim / 8;
  constexpr int kRowStep = kThreads / kPieces;
  const int piece = threadIdx.x % kPieces * 8;
  const uint32_t to = SharedAddress(rows + piece);
#pragma unroll
  for (int i = 0; i < kCount; i += kRowStep) {
    const int row = i + threadIdx.x / kPieces;
    const __nv_bfloat16* at = from(row);
    CopyAsyncOrZero(
        to + row * LogitsMemory<kHeadDim>::kStride * sizeof(__nv_bfloat16),
        at + piece, at != nullptr);
  }
}

template <int kHeadDim>
__device__ __forceinline__ void FetchQueries(const GateParams& p, int first_row,
                                             int head,
                                             LogitsMemory<kHeadDim>& memory) {
  const __nv_bfloat16* entries =
      static_cast<const __nv_bfloat16*>(p.query_entries);
  FetchRows<kHeadDim, kRows>(
      [&](int row) {
        const int64_t at =
            (int64_t{first_row} + row) * p.num_query_heads + head;
        return memory.sequences[row] < 0 ? nullptr : entries + at * kHeadDim;
      },
      memory.queries);
}

template <int kHeadDim>
__device__ __forceinline__ void FetchKeys(const GateParams& p, int entry_head,
                                          LogitsMemory<kHeadDim>& memory) {
  const __nv_bfloat16* entries =
      static_cast<const __nv_bfloat16*>(p.key_entries);
  FetchRows<kHeadDim, kColumns>(
      [&](int column) {
        const int64_t page = memory.pages[column];
        const int64_t at = page * p.num_entry_heads + entry_head;
        return page < 0 ? nullptr : entries + at * kHeadDim;
      },
      memory.keys);
}

// A warp's quarter of queries x keys.
template <int kHeadDim>
struct WarpLogits {
  static constexpr int kStride = LogitsMemory<kHeadDim>::kStride;
  float sums[kWarpRows / 16][kWarpColumns / 8][4] = {};

  __device__ __forceinline__ void Multiply(const __nv_bfloat16* queries,
                                           const __nv_bfloat16* keys,
                                           int lane) {
#pragma unroll
    for (int k = 0; k < kHeadDim; k += 16) {
      uint32_t a[kWarpRows / 16][4];
#pragma unroll
      for (int m = 0; m < kWarpRows / 16; ++m) {
        LoadRows16x16<kStride>(queries + m * 16 * kStride + k, lane, a[m]);
      }
#pragma unroll
      for (int n = 0; n < kWarpColumns; n += 16) {
        uint32_t b[4];
        LoadColumnsAsRows<kStride>(keys + n * kStride + k, lane, b);
#pragma unroll
        for (int m = 0; m < kWarpRows / 16; ++m) {
          MultiplyAdd(sums[m][n / 8], a[m], b[0], b[1]);
          MultiplyAdd(sums[m][n / 8 + 1], a[m], b[2], b[3]);
        }
      }
    }
  }
};

// Writes the warp's logits that the run's rows see, a row's side by side.
template <int kHeadDim>
__device__ __forceinline__ void WriteLogits(const GateParams& p, const Run& run,
                                            int head, int row, int column,
                                            int first_column, int lane,
                                            const WarpLogits<kHeadDim>& logits,
                                            LogitsMemory<kHeadDim>& memory) {
  constexpr int kStride = LogitsMemory<kHeadDim>::kStagedStride;
  float* staged = memory.staged[threadIdx.x / 32];
  const int block = first_column + column + lane;
#pragma unroll
  for (int m = 0; m < kWarpRows / 16; ++m) {
#pragma unroll
    for (int n = 0; n < kWarpColumns / 8; ++n) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const float* sums = logits.sums[m][n] + 2 * h;
        *reinterpret_cast<float2*>(staged + (lane / 4 + 8 * h) * kStride +
                                   n * 8 + lane % 4 * 2) =
            make_float2(sums[0] * p.scale, sums[1] * p.scale);
      }
    }
    __syncwarp();
#pragma unroll 4
    for (int i = 0; i < 16; ++i) {
      const int r = row + m * 16 + i;
      if (r < run.begin || r >= run.end || block > memory.blocks[r]) continue;
      const int64_t at = int64_t{memory.tiles[r]} * p.num_query_heads + head;
      p.logits[at * p.logits_row_len + block] = staged[i * kStride + lane];
    }
    __syncwarp();
  }
}

// The logits of a run's rows for `num_heads` query heads.
template <int kHeadDim>
__device__ __forceinline__ void ScoreRun(const GateParams& p, const Run& run,
                                         int first_row, int first_column,
                                         int first_head, int num_heads,
                                         LogitsMemory<kHeadDim>& memory) {
  constexpr int kStride = LogitsMemory<kHeadDim>::kStride;
  const int lane = threadIdx.x % 32;
  const int row = threadIdx.x / 64 * kWarpRows;
  const int column = threadIdx.x / 32 % 2 * kWarpColumns;
  const bool is_seen = run.begin < row + kWarpRows && run.end > row &&
                       first_column + column <= run.last_block;
  const int heads_per_entry = p.num_query_heads / p.num_entry_heads;
  int fetched_entry_head = -1;
  for (int head = first_head; head < first_head + num_heads; ++head) {
    FetchQueries(p, first_row, head, memory);
    if (head / heads_per_entry != fetched_entry_head) {
      fetched_entry_head = head / heads_per_entry;
      FetchKeys(p, fetched_entry_head, memory);
    }
    CommitCopies();
    WaitForCopies<0>();
    __syncthreads();
    if (is_seen) {
      WarpLogits<kHeadDim> logits;
      logits.Multiply(memory.queries + row * kStride,
                      memory.keys + column * kStride, lane);
      WriteLogits(p, run, head, row, column, first_column, lane, logits,
                  memory);
    }
    __syncthreads();
  }
}

// A thread block: kRows scored tiles, kColumns key blocks, some query heads.
template <int kHeadDim>
__global__ void __launch_bounds__(kThreads, 4)
    LogitsKernel(const __grid_constant__ GateParams p, const int num_heads) {
  __shared__ LogitsMemory<kHeadDim> memory;
  const int first_row = blockIdx.x * kRows;
  const int first_column = blockIdx.y * kColumns;
  ReadTiles(p, first_row, memory);
  __syncthreads();
  for (int begin = 0; begin < kRows && memory.sequences[begin] >= 0;) {
    const Run run = RunFrom(begin, memory);
    begin = run.end;
    if (run.last_block < first_column) continue;
    ReadPages(p, run, first_column, memory);
    __syncthreads();
    ScoreRun(p, run, first_row, first_column, blockIdx.z * num_heads, num_heads,
             memory);
  }
}

// Query heads of a thread block: more of them share the reading of tiles,
// pages and, with grouped queries, keys; as long as there are enough thread
// blocks for the device all the same.
int HeadsPerBlock(const GateParams& params, int64_t num_products) {
  constexpr int64_t kEnoughBlocks = 2048;
  constexpr int kMostHeads = 8;
  int heads = 1;
  while (heads < kMostHeads && params.num_query_heads % (2 * heads) == 0 &&
         num_products * params.num_query_heads / (2 * heads) >= kEnoughBlocks) {
    heads *= 2;
  }
  return heads;
}

template <int kHeadDim>
cudaError_t Launch(const GateParams& params, cudaStream_t stream) {
  const dim3 products((params.num_scored_tiles + kRows - 1) / kRows,
                      (params.logits_row_len + kColumns - 1) / kColumns);
  const int num_heads = HeadsPerBlock(params, int64_t{products.x} * products.y);
  const dim3 grid(products.x, products.y, params.num_query_heads / num_heads);
  LogitsKernel<kHeadDim><<<grid, kThreads, 0, stream>>>(params, num_heads);
  return cudaGetLastError();
}

}  // namespace

cudaError_t LaunchLogits(const GateParams& params, cudaStream_t stream) {
  return params.head_dim == 128 ? Launch<128>(params, stream)
                                : Launch<64>(params, stream);
}

}  // namespace cuda
}  // namespace seer
