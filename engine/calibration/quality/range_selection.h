// The blocks that a range's scores lead to under uniform budgets.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_RANGE_SELECTION_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_RANGE_SELECTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/quality/uniform_budgets.h"
#include "engine/device/device.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/block_sets.h"
#include "kernels/ragged_batch.h"

namespace seer {

// Selects as requests of these budgets do, by the same kernel. Throws what ATen
// throws.
class RangeSelection {
 public:
  // Waits for nothing on the device, nor does what else is here, the destructor
  // included. `budgets` and `tiles` are valid; the device outlives it.
  RangeSelection(const UniformBudgets& budgets, const PromptTiles& tiles,
                 int32_t num_query_heads, const Device& device);
  RangeSelection(const RangeSelection&) = delete;
  RangeSelection& operator=(const RangeSelection&) = delete;

  // By `scores`, fp32 [tiles, Hq, row_len], of (tile, head, block j) for
  // j <= tile, row_len >= last_tile, at budgets.densities[density].
  // `num_selected`, if any: int64 [1] on the device, to which the
  // selected blocks of all tiles and heads are added. Valid until the next.
  absl::StatusOr<BlockSets> Select(size_t density, const float* scores,
                                   int64_t row_len,
                                   int64_t* num_selected = nullptr);
  // The same where nothing is read at all.
  BlockSets SelectNothing();

  // bool [tiles, Hq, last_tile]: the last sets.
  at::Tensor Mask() const;

 private:
  // Makes the batch and the rules, and sends them.
  void SendArguments(const UniformBudgets& budgets, const PromptTiles& range);

  const Device& device_;
  const at::Tensor visible_;  // bool [tiles, last_tile]
  at::Tensor bits_;           // int64 [tiles, Hq, words]
  at::Tensor counts_;         // int32 [tiles, Hq]
  BlockSelectionArgs args_;
  const SelectionRule* rules_ = nullptr;  // [densities], on the device
  at::Tensor arguments_;  // bytes: what the batch and the rules point to
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_RANGE_SELECTION_H_
