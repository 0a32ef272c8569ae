// Turns gate logits into block sets under each sequence's budget.
#ifndef SEER_KERNELS_BLOCK_SELECTION_BLOCK_SELECTION_H_
#define SEER_KERNELS_BLOCK_SELECTION_BLOCK_SELECTION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/block_selection/selection_rule.h"
#include "kernels/block_sets.h"
#include "kernels/device.h"
#include "kernels/ragged_batch.h"

namespace seer {

struct BlockSelectionArgs {
  RaggedBatch batch;
  const SelectionRule* rules = nullptr;  // [num_sequences]
  int32_t num_query_heads = 0;
  const float* logits = nullptr;  // as GateScoreArgs::logits; null: all kAll
  int32_t logits_row_len = 0;
  BlockSets sets;  // out, every prompt tile; num_words covers visible blocks
  // Out, null: not wanted: [num_sequences], the blocks selected by this call's
  // tiles of the sequence, over tiles and heads, are added.
  int64_t* num_selected = nullptr;
};

// INVALID_ARGUMENT: shapes or a rule out of range. A NaN logit ranks below
// every number. Sets of rules that count are equal in every backend; those of a
// threshold but for near-ties, where probabilities round differently.
//
// kCuda does not look into what is in device memory: `batch` and `rules`, with
// their row_budgets, would pass the checks that other backends make, and
// `logits` and `sets` cover the visible blocks. num_selected is added to
// atomically, so steps and layers may accumulate there without the host. No
// workspace is needed.
absl::Status SelectBlocks(Backend backend, const BlockSelectionArgs& args,
                          DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_BLOCK_SELECTION_H_
