// Where a pass over sequences stands. No torch.
#ifndef SEER_ENGINE_CALIBRATION_TILE_CURSOR_H_
#define SEER_ENGINE_CALIBRATION_TILE_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/calibration/tile_range.h"
#include "engine/calibration/training_options.h"

namespace seer {

// Sequences come one after the other, each in ranges that ascend without a gap.
// A sequence's first range begins at tile 0; with a loss, anywhere up to its
// FirstLossTile: what is before it brings none.
class TileCursor {
 public:
  // `sequence_lens`: tokens of each, >= 1.
  explicit TileCursor(std::vector<int64_t> sequence_lens,
                      std::optional<GateLoss> loss = std::nullopt);

  // Moves past a range. FAILED_PRECONDITION: every sequence has ended.
  // INVALID_ARGUMENT: the range is not the next one, or lacks a pointer. After
  // an error it stands where it stood.
  absl::Status Advance(const TileRange& range);
  // FAILED_PRECONDITION, and it stays: the sequence's last tile has not come.
  absl::Status EndSequence();

  bool is_complete() const { return current_ == sequence_lens_.size(); }
  // Of the current sequence.
  int64_t sequence_len() const { return sequence_lens_[current_]; }
  int64_t num_tiles() const;

 private:
  std::vector<int64_t> sequence_lens_;
  std::optional<GateLoss> loss_;
  size_t current_ = 0;
  int64_t next_tile_ = 0;  // 0: the sequence has not begun
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TILE_CURSOR_H_
