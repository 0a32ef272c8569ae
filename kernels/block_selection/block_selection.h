// Turns gate logits into block sets under each sequence's budget.
#ifndef SEER_KERNELS_BLOCK_SELECTION_BLOCK_SELECTION_H_
#define SEER_KERNELS_BLOCK_SELECTION_BLOCK_SELECTION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/block_sets.h"
#include "kernels/device.h"
#include "kernels/ragged_batch.h"

namespace seer {

// How one sequence's tiles choose blocks in one layer. Counts are before
// forced blocks: count = max(count, forced); forced blocks are taken first,
// the rest by highest logit, ties to the lower index.
struct SelectionRule {
  enum class Kind : int32_t {
    kAll,        // every visible block; logits unread
    kTopK,       // min(top_k, visible)
    kRowBudget,  // RowCount(row_budgets[head]); see row_budget.h
    kThreshold,  // every block with softmax prob > threshold (strict), and the
                 // forced ones beside them
  };
  Kind kind = Kind::kAll;
  int32_t top_k = 0;                     // kTopK; >= 1
  float threshold = 0.0f;                // kThreshold; in (0, 1)
  const int32_t* row_budgets = nullptr;  // kRowBudget: [Hq], K in 1/1024 block
  int32_t num_prompt_tiles = 0;          // tiles of the whole prompt
  int32_t sink_blocks = 1;               // first blocks, forced; 0..16
  int32_t dense_last_blocks = 2;         // last prompt tiles read everything
  bool keep_diagonal = true;             // force the tile's own block
};

struct BlockSelectionArgs {
  RaggedBatch batch;
  const SelectionRule* rules = nullptr;  // [num_sequences]
  int32_t num_query_heads = 0;
  const float* logits = nullptr;  // as GateScoreArgs::logits
  int32_t logits_row_len = 0;
  BlockSets sets;  // out, every prompt tile; num_words covers visible blocks
  // Out, null: not wanted: [num_sequences], the blocks selected by this call's
  // tiles of the sequence, over tiles and heads, are added.
  int64_t* num_selected = nullptr;
};

// INVALID_ARGUMENT: shapes or a rule out of range. A NaN logit ranks below
// every number.
absl::Status SelectBlocks(Backend backend, const BlockSelectionArgs& args,
                          DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_BLOCK_SELECTION_H_
