#include "engine/calibration/tile_cursor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/ragged_batch.h"

namespace seer {

TileCursor::TileCursor(std::vector<int64_t> sequence_lens,
                       std::optional<GateLoss> loss)
    : sequence_lens_(std::move(sequence_lens)), loss_(loss) {}

int64_t TileCursor::num_tiles() const { return NumBlocks(sequence_len()); }

absl::Status TileCursor::Advance(const TileRange& range) {
  if (is_complete()) {
    return absl::FailedPreconditionError(
        "calibration: every sequence has ended");
  }
  int64_t latest_tile = next_tile_;
  if (next_tile_ == 0 && loss_.has_value()) {
    latest_tile = FirstLossTile(*loss_, num_tiles());
  }
  if (range.first_tile < next_tile_ || range.first_tile > latest_tile ||
      range.last_tile <= range.first_tile || range.last_tile > num_tiles() ||
      range.row_len < range.last_tile) {
    return absl::InvalidArgumentError(
        absl::StrCat("calibration: tiles ", range.first_tile, "..",
                     range.last_tile, " with rows of ", range.row_len,
                     " after tile ", next_tile_, " of ", num_tiles()));
  }
  if (range.pooled_queries == nullptr || range.pooled_keys == nullptr ||
      range.target == nullptr) {
    return absl::InvalidArgumentError("calibration: a range lacks a pointer");
  }
  next_tile_ = range.last_tile;
  return absl::OkStatus();
}

absl::Status TileCursor::EndSequence() {
  if (is_complete() || next_tile_ != num_tiles()) {
    return absl::FailedPreconditionError(
        "calibration: a sequence ends before its last tile");
  }
  next_tile_ = 0;
  ++current_;
  return absl::OkStatus();
}

}  // namespace seer
