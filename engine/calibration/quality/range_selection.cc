#include "engine/calibration/quality/range_selection.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/status_macros.h"
#include "engine/calibration/network/gate_loss.h"
#include "engine/model/aten/aten.h"
#include "kernels/block_selection/row_budget.h"

namespace seer {
namespace {

// Arrays one after the other in the device's memory, written by the host and
// sent by one copy, for which nobody waits.
class PackedArrays {
 public:
  // Of what an array of `size` takes.
  template <typename T>
  static int64_t BytesOf(int64_t size) {
    constexpr int64_t kAlignment = 16;
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= kAlignment);
    const int64_t num_bytes = size * static_cast<int64_t>(sizeof(T));
    return (num_bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  PackedArrays(int64_t num_bytes, at::Device device)
      : on_device_(at::empty({num_bytes},
                             at::TensorOptions(at::kByte).device(device))),
        // ATen gives pinned memory to nobody else before copies from it are
        // done, though the tensor is gone.
        on_host_(device.is_cpu()
                     ? on_device_
                     : at::empty(
                           {num_bytes},
                           at::TensorOptions(at::kByte).pinned_memory(true))) {}

  // Where the device finds the values once they are sent.
  template <typename T>
  const T* Add(const std::vector<T>& values) {
    const int64_t begin = num_used_;
    num_used_ += BytesOf<T>(static_cast<int64_t>(values.size()));
    std::memcpy(on_host_.mutable_data_ptr<uint8_t>() + begin, values.data(),
                values.size() * sizeof(T));
    return reinterpret_cast<const T*>(on_device_.const_data_ptr<uint8_t>() +
                                      begin);
  }

  at::Tensor Send() {
    if (!on_device_.is_cpu()) on_device_.copy_(on_host_, /*non_blocking=*/true);
    return on_device_;
  }

 private:
  const at::Tensor on_device_;
  const at::Tensor on_host_;
  int64_t num_used_ = 0;
};

std::vector<Tile> TilesOf(const PromptTiles& range) {
  std::vector<Tile> tiles;
  int32_t num_rows = 0;
  for (int64_t i = range.first_tile; i < range.last_tile; ++i) {
    Tile tile;
    tile.row_begin = num_rows;
    tile.num_rows = static_cast<int32_t>(
        std::min<int64_t>(kBlockSize, range.prompt_len - i * kBlockSize));
    tile.block = static_cast<int32_t>(i);
    num_rows += tile.num_rows;
    tiles.push_back(tile);
  }
  return tiles;
}

// Of all but the row budgets.
SelectionRule RuleOf(const UniformBudgets& budgets, const PromptTiles& range) {
  SelectionRule rule;
  rule.kind = SelectionRule::Kind::kRowBudget;
  rule.num_prompt_tiles = static_cast<int32_t>(NumBlocks(range.prompt_len));
  rule.sink_blocks = budgets.sink_blocks;
  rule.dense_last_blocks = budgets.dense_last_blocks;
  return rule;
}

// [densities, heads]
std::vector<int32_t> RowBudgetsOf(const UniformBudgets& budgets,
                                  const SelectionRule& rule,
                                  int32_t num_heads) {
  RowBudgetShape shape;
  shape.num_tiles = rule.num_prompt_tiles;
  shape.sink_blocks = rule.sink_blocks;
  shape.dense_last_blocks = rule.dense_last_blocks;
  std::vector<int32_t> row_budgets;
  for (const double density : budgets.densities) {
    row_budgets.insert(
        row_budgets.end(), num_heads,
        static_cast<int32_t>(SolveRowBudget(shape, density).k_1024));
  }
  return row_budgets;
}

}  // namespace

RangeSelection::RangeSelection(const UniformBudgets& budgets,
                               const PromptTiles& tiles,
                               int32_t num_query_heads, const Device& device)
    : device_(device),
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
  SendArguments(budgets, tiles);
}

void RangeSelection::SendArguments(const UniformBudgets& budgets,
                                   const PromptTiles& range) {
  const int64_t num_densities = static_cast<int64_t>(budgets.densities.size());
  const int32_t num_heads = args_.num_query_heads;
  PackedArrays arrays(
      PackedArrays::BytesOf<int32_t>(range.last_tile) +
          PackedArrays::BytesOf<SequenceSlice>(1) +
          PackedArrays::BytesOf<Tile>(range.num_tiles()) +
          PackedArrays::BytesOf<int32_t>(num_densities * num_heads) +
          PackedArrays::BytesOf<SelectionRule>(num_densities),
      AtenDevice(device_));
  const std::vector<Tile> tiles = TilesOf(range);
  SequenceSlice slice;
  slice.position_begin = static_cast<int32_t>(range.first_tile * kBlockSize);
  slice.prompt_len = static_cast<int32_t>(range.prompt_len);
  slice.num_rows = tiles.back().row_begin + tiles.back().num_rows;
  // Selection reads no page, but a slice has its table.
  slice.page_table = arrays.Add(std::vector<int32_t>(range.last_tile));
  args_.batch.sequences = arrays.Add(std::vector<SequenceSlice>{slice});
  args_.batch.tiles = arrays.Add(tiles);
  args_.batch.num_sequences = 1;
  args_.batch.num_rows = slice.num_rows;
  args_.batch.num_tiles = static_cast<int32_t>(tiles.size());
  args_.batch.num_prompt_tiles = args_.batch.num_tiles;

  const SelectionRule rule = RuleOf(budgets, range);
  const int32_t* const row_budgets =
      arrays.Add(RowBudgetsOf(budgets, rule, num_heads));
  std::vector<SelectionRule> rules(num_densities, rule);
  for (int64_t d = 0; d < num_densities; ++d) {
    rules[d].row_budgets = row_budgets + d * num_heads;
  }
  rules_ = arrays.Add(rules);
  arguments_ = arrays.Send();
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
