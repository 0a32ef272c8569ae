// Ragged batches for kernel tests: slices of several sequences side by side,
// tiled as kernels/ragged_batch.h says, over shuffled pages.
#ifndef SEER_TESTS_TESTING_KERNELS_CASES_RAGGED_CASE_H_
#define SEER_TESTS_TESTING_KERNELS_CASES_RAGGED_CASE_H_

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "kernels/ragged_batch.h"

namespace seer {

// What one sequence contributes to a batch; a SequenceSlice without its place.
struct SliceSpec {
  int32_t prompt_len = 1;
  int32_t position_begin = 0;
  int32_t num_rows = 1;

  // Tokens of the sequence in the cache once the step has written its rows.
  int32_t EndPosition() const { return position_begin + num_rows; }
};

// A whole prompt; rows [begin, end) of one; one decode row at `position`.
SliceSpec WholePrompt(int32_t prompt_len);
SliceSpec PromptChunk(int32_t prompt_len, int32_t begin, int32_t end);
SliceSpec GeneratedRows(int32_t prompt_len, int32_t position, int32_t num_rows);

// A prompt slice (whole, first, middle or last chunk), or generated rows, of a
// sequence of at most `max_len` tokens.
SliceSpec RandomSlice(int32_t max_len, std::mt19937_64& random);

// A batch and all that it borrows. Movable; the batch stays valid.
class RaggedCase {
 public:
  // Lays `specs` out in this order. Every sequence has its own pages, taken
  // in random order from num_pages() physical ones, some of which nobody uses.
  // CHECKs that each spec is a slice as SequenceSlice documents.
  RaggedCase(const std::vector<SliceSpec>& specs, uint64_t seed);

  // The same over pages that outlive the case: page_tables[i], which is
  // copied, holds sequence i's pages up to its slice's last position.
  RaggedCase(const std::vector<SliceSpec>& specs,
             const std::vector<std::vector<int32_t>>& page_tables,
             int64_t num_pages);

  const RaggedBatch& batch() const { return storage_->batch; }
  int64_t num_pages() const { return storage_->num_pages; }
  const SliceSpec& spec(int32_t sequence) const {
    return storage_->specs[sequence];
  }
  // Blocks that the longest sequence's rows see.
  int32_t max_visible_blocks() const;
  // Position in its sequence of a packed row of the tile.
  static int32_t Position(const Tile& tile, int32_t row_in_tile) {
    return tile.block * kBlockSize + tile.offset + row_in_tile;
  }

 private:
  struct Storage {
    std::vector<SliceSpec> specs;
    std::vector<SequenceSlice> sequences;
    std::vector<Tile> tiles;
    std::vector<std::vector<int32_t>> page_tables;
    RaggedBatch batch;
    int64_t num_pages = 0;
  };

  // Fills slices, tiles and batch from specs and page tables.
  void LayOut();

  std::unique_ptr<Storage> storage_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CASES_RAGGED_CASE_H_
