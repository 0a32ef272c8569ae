// The key blocks that each (prompt tile, query head) reads. Written by
// block_selection and read by attention, on the same device.
#ifndef SEER_KERNELS_BLOCK_SETS_H_
#define SEER_KERNELS_BLOCK_SETS_H_

#include <cstdint>

namespace seer {

// A set is a bitmap over key blocks and its count. A count equal to the tile's
// visible blocks means all of them, and the bits are then not read (and may be
// unwritten). Bits at or past the visible blocks are 0 in a written row.
struct BlockSets {
  uint64_t* bits = nullptr;   // [num_prompt_tiles, num_query_heads, num_words]
  int32_t* counts = nullptr;  // [num_prompt_tiles, num_query_heads]
  int32_t num_words = 0;      // words of a row: ceil(max visible blocks / 64)
  int32_t num_query_heads = 0;

  constexpr int64_t Row(int64_t tile, int64_t head) const {
    return tile * num_query_heads + head;
  }
  constexpr uint64_t* Bits(int64_t tile, int64_t head) const {
    return bits + Row(tile, head) * num_words;
  }
};

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SETS_H_
