#include "engine/calibration/quality/range_selection.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "base/status_macros.h"
#include "engine/calibration/network/gate_loss.h"
#include "engine/model/aten.h"
#include "kernels/block_selection/row_budget.h"

namespace seer {

RangeSelection::RangeSelection(const UniformBudgets& budgets,
                               const PromptTiles& tiles,
                               int32_t num_query_heads, const Device& device)
    : device_(device),
      num_query_heads_(num_query_heads),
      visible_(VisibleBlocksOf(tiles.first_tile, tiles.num_tiles(),
                               tiles.last_tile, AtenDevice(device))) {
  const int64_t num_words = (tiles.last_tile + 63) / 64;
  const at::TensorOptions on_device =
      at::TensorOptions().device(AtenDevice(device));
  bits_ = at::empty({tiles.num_tiles(), num_query_heads, num_words},
                    on_device.dtype(at::kLong));
  counts_ = at::empty({tiles.num_tiles(), num_query_heads},
                      on_device.dtype(at::kInt));
  args_.num_query_heads = num_query_heads;
  args_.sets.bits = static_cast<uint64_t*>(bits_.mutable_data_ptr());
  args_.sets.counts = counts_.mutable_data_ptr<int32_t>();
  args_.sets.num_words = static_cast<int32_t>(num_words);
  args_.sets.num_query_heads = num_query_heads;
  MakeBatch(tiles);
  MakeRules(budgets, tiles);
}

void RangeSelection::MakeBatch(const PromptTiles& tiles) {
  SequenceSlice slice;
  slice.position_begin = static_cast<int32_t>(tiles.first_tile * kBlockSize);
  slice.prompt_len = static_cast<int32_t>(tiles.prompt_len);
  for (int64_t i = tiles.first_tile; i < tiles.last_tile; ++i) {
    Tile tile;
    tile.row_begin = slice.num_rows;
    tile.num_rows = static_cast<int32_t>(
        std::min<int64_t>(kBlockSize, tiles.prompt_len - i * kBlockSize));
    tile.block = static_cast<int32_t>(i);
    slice.num_rows += tile.num_rows;
    tiles_.push_back(tile);
  }
  // Selection reads no page, but a slice has its table.
  pages_.resize(tiles.last_tile);
  slice.page_table = OnDevice(pages_);
  slices_ = {slice};
  args_.batch.sequences = OnDevice(slices_);
  args_.batch.tiles = OnDevice(tiles_);
  args_.batch.num_sequences = 1;
  args_.batch.num_rows = slice.num_rows;
  args_.batch.num_tiles = static_cast<int32_t>(tiles_.size());
  args_.batch.num_prompt_tiles = args_.batch.num_tiles;
}

void RangeSelection::MakeRules(const UniformBudgets& budgets,
                               const PromptTiles& tiles) {
  SelectionRule rule;
  rule.kind = SelectionRule::Kind::kRowBudget;
  rule.num_prompt_tiles = static_cast<int32_t>(NumBlocks(tiles.prompt_len));
  rule.sink_blocks = budgets.sink_blocks;
  rule.dense_last_blocks = budgets.dense_last_blocks;
  RowBudgetShape shape;
  shape.num_tiles = rule.num_prompt_tiles;
  shape.sink_blocks = rule.sink_blocks;
  shape.dense_last_blocks = rule.dense_last_blocks;
  for (const double density : budgets.densities) {
    row_budgets_.insert(
        row_budgets_.end(), num_query_heads_,
        static_cast<int32_t>(SolveRowBudget(shape, density).k_1024));
  }
  const int32_t* const on_device = OnDevice(row_budgets_);
  for (size_t d = 0; d < budgets.densities.size(); ++d) {
    rule.row_budgets = on_device + d * num_query_heads_;
    host_rules_.push_back(rule);
  }
  rules_ = OnDevice(host_rules_);
}

template <typename T>
const T* RangeSelection::OnDevice(const std::vector<T>& host) {
  kept_.push_back(at::from_blob(const_cast<T*>(host.data()),
                                {static_cast<int64_t>(host.size() * sizeof(T))},
                                at::kByte)
                      .to(AtenDevice(device_)));
  return static_cast<const T*>(kept_.back().const_data_ptr());
}

absl::StatusOr<BlockSets> RangeSelection::Select(size_t density,
                                                 const float* scores,
                                                 int64_t row_len,
                                                 int64_t* num_selected) {
  args_.rules = rules_ + density;
  args_.logits = scores;
  args_.logits_row_len = static_cast<int32_t>(row_len);
  args_.num_selected = num_selected;
  SEER_RETURN_IF_ERROR(
      SelectBlocks(device_.backend(), args_, device_.stream()));
  return args_.sets;
}

BlockSets RangeSelection::SelectNothing() {
  bits_.zero_();
  counts_.zero_();
  return args_.sets;
}

at::Tensor RangeSelection::Mask() const {
  const at::Tensor shifts = at::arange(64, bits_.options());
  const at::Tensor is_set = at::bitwise_right_shift(bits_.unsqueeze(-1), shifts)
                                .bitwise_and_(1)
                                .to(at::kBool)
                                .flatten(-2)
                                .narrow(-1, 0, visible_.size(-1));
  // A row whose count is all that is visible has no bits to read.
  const at::Tensor is_full =
      counts_.eq(visible_.sum(-1).unsqueeze(-1)).unsqueeze(-1);
  return is_set.logical_or(is_full).logical_and_(visible_.unsqueeze(1));
}

}  // namespace seer
