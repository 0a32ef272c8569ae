// What ranks a layer's key blocks, as measurements see it. No torch.
#ifndef SEER_ENGINE_CALIBRATION_SCORING_LAYER_SCORER_H_
#define SEER_ENGINE_CALIBRATION_SCORING_LAYER_SCORER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/tile_range.h"
#include "engine/device/device.h"

namespace seer {

// fp32 [tiles, Hq, row_len] on the device, of (tile, head, block j) for
// j <= tile: as block selection reads them.
struct BlockScores {
  const float* data = nullptr;
  int64_t row_len = 0;  // >= the range's last_tile
};

// Some sequences, one after the other, each in ranges that ascend without a gap
// from tile 0. Throws what ATen throws; is of no more use after an error.
class ScorePass {
 public:
  virtual ~ScorePass() = default;

  // Scores the current sequence's next range, and adds its share of the loss.
  // Waits for nothing. FAILED_PRECONDITION: every sequence has ended.
  // INVALID_ARGUMENT: the range is not the next one, or lacks a pointer.
  virtual absl::Status AddRange(const TileRange& range) = 0;
  // Of the last range; valid as long as that, and until the next call.
  virtual BlockScores scores() = 0;

  // FAILED_PRECONDITION: its last tile has not come.
  virtual absl::Status EndSequence() = 0;

  virtual bool is_complete() const = 0;  // every sequence has ended
  // Tokens of the current sequence.
  virtual int64_t sequence_len() const = 0;
  // Of the scores' softmax against the target, over all sequences. Waits for
  // the device.
  virtual double loss() const = 0;
};

class LayerScorer {
 public:
  virtual ~LayerScorer() = default;

  // Of sequences of so many tokens each. INVALID_ARGUMENT: of these lengths
  // there can be none. Throws what ATen throws.
  virtual absl::StatusOr<std::unique_ptr<ScorePass>> Begin(
      std::vector<int64_t> sequence_lens) const = 0;

  virtual int32_t num_query_heads() const = 0;
  virtual const Device* device() const = 0;
};

// [layers] of one model.
using LayerScorers = std::vector<std::unique_ptr<LayerScorer>>;

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_SCORING_LAYER_SCORER_H_
