// A gate in training, measured. No torch.
#ifndef SEER_ENGINE_CALIBRATION_SCORING_TRAINED_SCORER_H_
#define SEER_ENGINE_CALIBRATION_SCORING_TRAINED_SCORER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/calibration/scoring/layer_scorer.h"
#include "engine/calibration/training/layer_trainer.h"

namespace seer {

// The gate as the trainer has it when a pass begins: no step of the trainer may
// end before that pass does. The loss is the trainer's.
class TrainedScorer final : public LayerScorer {
 public:
  // `trainer` is borrowed.
  explicit TrainedScorer(const LayerTrainer* trainer) : trainer_(trainer) {}

  absl::StatusOr<std::unique_ptr<ScorePass>> Begin(
      std::vector<int64_t> sequence_lens) const override;
  int32_t num_query_heads() const override {
    return trainer_->options().shape.num_query_heads;
  }
  const Device* device() const override { return trainer_->device(); }

 private:
  const LayerTrainer* const trainer_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_SCORING_TRAINED_SCORER_H_
