// The rows of one engine step, shared by every op of the step.
//
// A step computes rows (tokens) of several sequences: chunks of prompts and
// single decode rows side by side. The rows are packed: row-major tensors have
// num_rows rows, and each sequence owns a contiguous range of them.
#ifndef SEER_KERNELS_RAGGED_BATCH_H_
#define SEER_KERNELS_RAGGED_BATCH_H_

#include <cstdint>

namespace seer {

// Tokens of a block. Also the tokens of a KV page: one page holds one block.
constexpr int kBlockSize = 64;

// Blocks that cover `num_tokens` tokens.
constexpr int64_t NumBlocks(int64_t num_tokens) {
  return (num_tokens + kBlockSize - 1) / kBlockSize;
}

// One sequence's part of the step: rows at positions
// [position_begin, position_begin + num_rows) of the sequence.
//
// A slice lies on one side of the prompt's end: either all its positions are
// < prompt_len ("prompt slice") or all are >= prompt_len ("generated slice"),
// so the page that holds the prompt's last block carries exactly the prompt's
// tokens when it is pooled. A prompt slice starts at a multiple of kBlockSize
// and ends at one or at prompt_len, so every prompt tile is whole.
struct SequenceSlice {
  int32_t row_begin = 0;       // first packed row
  int32_t num_rows = 0;        // >= 1
  int32_t position_begin = 0;  // position of the first row
  int32_t prompt_len = 0;      // tokens of the whole prompt, >= 1
  // Page of block b of the sequence, for every block up to the slice's last
  // position. Borrowed; on the device of the call.
  const int32_t* page_table = nullptr;
};

// Up to 64 consecutive rows of one sequence inside one block.
struct Tile {
  int32_t sequence = 0;   // index into RaggedBatch::sequences
  int32_t row_begin = 0;  // first packed row
  int32_t num_rows = 0;   // 1..kBlockSize
  int32_t block = 0;      // block index i of the rows' positions
  int32_t offset = 0;     // first row's position - block * kBlockSize
};

// Tiles of prompt slices come first: [0, num_prompt_tiles) are tiles whose
// rows choose blocks; [num_prompt_tiles, num_tiles) are tiles of generated
// rows, which always read every block. Order within each group is by sequence,
// then by block.
struct RaggedBatch {
  const SequenceSlice* sequences = nullptr;  // [num_sequences]
  const Tile* tiles = nullptr;               // [num_tiles]
  int32_t num_sequences = 0;
  int32_t num_rows = 0;
  int32_t num_tiles = 0;
  int32_t num_prompt_tiles = 0;
};

// Key blocks tile `t` can see: blocks 0..t.block.
constexpr int32_t VisibleBlocks(const Tile& t) { return t.block + 1; }

}  // namespace seer

#endif  // SEER_KERNELS_RAGGED_BATCH_H_
