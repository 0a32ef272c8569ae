// How one sequence's tiles choose blocks in one layer.
#ifndef SEER_KERNELS_BLOCK_SELECTION_SELECTION_RULE_H_
#define SEER_KERNELS_BLOCK_SELECTION_SELECTION_RULE_H_

#include <cstdint>

namespace seer {

// Counts are before forced blocks: count = max(count, forced); forced blocks
// are taken first, the rest by highest logit, ties to the lower index.
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

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_SELECTION_RULE_H_
