// How many blocks one (tile, head) reads under a rule that counts. constexpr,
// so that device code shares it.
#ifndef SEER_KERNELS_BLOCK_SELECTION_SET_SIZE_H_
#define SEER_KERNELS_BLOCK_SELECTION_SET_SIZE_H_

#include <algorithm>
#include <cstdint>

#include "kernels/block_selection/row_budget.h"
#include "kernels/block_selection/selection_rule.h"

namespace seer {

constexpr RowBudgetShape BudgetShape(const SelectionRule& rule) {
  RowBudgetShape shape;
  shape.num_tiles = rule.num_prompt_tiles;
  shape.sink_blocks = rule.sink_blocks;
  shape.dense_last_blocks = rule.dense_last_blocks;
  shape.keep_diagonal = rule.keep_diagonal;
  return shape;
}

// Whether the rule forces block j on tile `block`.
constexpr bool IsForced(const SelectionRule& rule, int64_t block, int64_t j) {
  return j < rule.sink_blocks || (rule.keep_diagonal && j == block);
}

// Blocks that tile `block` reads for query head `head`. Not for kThreshold but
// on a dense tile: its count is known when the blocks are.
constexpr int64_t SetSize(const SelectionRule& rule, int64_t block,
                          int64_t head) {
  const RowBudgetShape shape = BudgetShape(rule);
  if (rule.kind == SelectionRule::Kind::kAll || IsDenseTile(shape, block)) {
    return block + 1;
  }
  if (rule.kind == SelectionRule::Kind::kRowBudget) {
    return RowCount(shape, block, rule.row_budgets[head]);
  }
  return std::max(ForcedBlocks(shape, block),
                  std::min<int64_t>(rule.top_k, block + 1));
}

// Whether the tile's blocks follow from probabilities rather than a count.
constexpr bool IsByThreshold(const SelectionRule& rule, int64_t block) {
  return rule.kind == SelectionRule::Kind::kThreshold &&
         !IsDenseTile(BudgetShape(rule), block);
}

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_SET_SIZE_H_
