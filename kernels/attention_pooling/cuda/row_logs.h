// What attention leaves behind for the targets: for each row, what each key
// block's scores came to, and what all of them did.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CUDA_ROW_LOGS_H_
#define SEER_KERNELS_ATTENTION_POOLING_CUDA_ROW_LOGS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/attention/attention_plan.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

// In units of log2. A row's largest probability in a block is
// 2^(block max - row max) / row sum, and the block's share of the row is
// 2^(block sum) times that. All differences are of close numbers, so large
// scores lose nothing. Rows that the tile has not hold anything.
//
// Both arrays hold two values for each of a tile's 64 rows, in the order that a
// warpgroup has them: lane l of warp w has rows r = 16 w + l / 4 and r + 8 of
// which four neighbouring places hold first r, first r + 8, second r, second
// r + 8.
struct RowLogs {
  static constexpr int kFloats = 2 * kBlockSize;

  // [tiles, Hq, row_len, 128]: the row's largest score of (tile, head, block);
  // log2 of the sum of 2^(score - that).
  float* blocks = nullptr;
  // [tiles, Hq, kMaxPromptParts, 128]: the row's largest score of a part of its
  // blocks; the sum of 2^(score - that).
  float* parts = nullptr;
  int32_t num_query_heads = 0;
  int32_t row_len = 0;  // >= the visible blocks of every tile

#ifdef __CUDACC__
  // 32-bit: an array of 2^32 of these is past any memory.
  __device__ __forceinline__ float* Block(uint32_t tile, uint32_t head,
                                          uint32_t block) const {
    const uint32_t at = (tile * num_query_heads + head) * row_len + block;
    return blocks + size_t{at} * kFloats;
  }
  __device__ __forceinline__ float* Part(uint32_t tile, uint32_t head,
                                         uint32_t part) const {
    const uint32_t at =
        (tile * num_query_heads + head) * kMaxPromptParts + part;
    return parts + size_t{at} * kFloats;
  }
#endif
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CUDA_ROW_LOGS_H_
