// Generated tiles on a GPU: a few rows that read every page. All query heads
// of a KV head are rows of one product, so that keys and values are read once.
#ifndef SEER_KERNELS_ATTENTION_CUDA_DECODE_H_
#define SEER_KERNELS_ATTENTION_CUDA_DECODE_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

// Rows of one product: (generated row, query head of the group).
constexpr int32_t kDecodeRows = 16;

// A tile's blocks are read in parts, as many thread blocks: of at least 4
// blocks, and at most 32 of them. They depend on what the rows see alone.
constexpr int32_t kMinDecodeBlocks = 4;
constexpr int32_t kMaxDecodeParts = 32;

#ifdef __CUDACC__
#define SEER_HOST_DEVICE __host__ __device__
#else
#define SEER_HOST_DEVICE
#endif

// Blocks of each part but the last.
SEER_HOST_DEVICE constexpr int32_t DecodePartBlocks(int32_t visible_blocks) {
  const int32_t least =
      (visible_blocks + kMaxDecodeParts - 1) / kMaxDecodeParts;
  return least > kMinDecodeBlocks ? least : kMinDecodeBlocks;
}
SEER_HOST_DEVICE constexpr int32_t NumDecodeParts(int32_t visible_blocks) {
  const int32_t blocks = DecodePartBlocks(visible_blocks);
  return (visible_blocks + blocks - 1) / blocks;
}
// Generated rows of a tile whose heads fill one product.
SEER_HOST_DEVICE constexpr int32_t DecodeChunkRows(int32_t group) {
  return kDecodeRows / group;
}

// What the kernel reads and writes; all pointers are the device's. bfloat16.
struct DecodeParams {
  const SequenceSlice* sequences = nullptr;
  const Tile* tiles = nullptr;  // [num_tiles], the generated ones
  int32_t num_tiles = 0;
  int32_t num_query_heads = 0;
  int32_t num_kv_heads = 0;
  float scale_log2 = 0.0f;  // the scale * log2(e)
  int32_t max_parts = 0;    // >= NumDecodeParts of every tile
  int32_t num_chunks = 0;   // >= rows of every tile / DecodeChunkRows

  const void* queries = nullptr;  // [num_rows, Hq, D]
  const void* pages = nullptr;    // PagedKv's
  void* out = nullptr;            // [num_rows, Hq, D]
  float* log_sum_exp = nullptr;   // [num_rows, Hq], or null

  // Of rows read in parts, by (tile, chunk, KV head, part, row of 16).
  float* partial_outs = nullptr;
  float* partial_log2_sums = nullptr;
  unsigned* arrivals = nullptr;  // by (tile, chunk, KV head); 0
};

// (tile, chunk, KV head) combinations, each with kDecodeRows rows a part.
inline int64_t NumDecodeGroups(const DecodeParams& p) {
  return int64_t{p.num_tiles} * p.num_chunks * p.num_kv_heads;
}

// Enqueues the attention of every tile; `head_dim` is 64 or 128. A tile of no
// rows is passed over.
cudaError_t LaunchDecode(const DecodeParams& params, int head_dim,
                         cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_DECODE_H_
