// How good a layer's gate is on data that it was not trained on. No torch.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_LAYER_EVALUATION_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_LAYER_EVALUATION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/quality/recall_metrics.h"
#include "engine/calibration/tile_range.h"
#include "engine/calibration/training/layer_trainer.h"

namespace seer {

struct LayerQuality {
  double loss = 0.0;                  // the trainer's, over all sequences
  std::vector<DensityRecall> recall;  // one for each density
};

// Called as LayerTrainer is, and without its gradients. Recall is over the
// tiles that the ranges bring, so these should begin at tile 0.
class LayerEvaluation {
 public:
  // Of the gate as `trainer`, which outlives it, now has it: no step of the
  // trainer may end before this does. The errors of LayerTrainer::BeginStep and
  // RecallMetrics::Create.
  static absl::StatusOr<std::unique_ptr<LayerEvaluation>> Begin(
      const LayerTrainer& trainer, std::vector<int64_t> sequence_lens,
      const RecallOptions& options);
  ~LayerEvaluation();

  // `mass`: like range.target, the true probability in each block (the mass
  // target). The errors of LayerTrainer::AddRange.
  absl::Status AddRange(const TileRange& range, const float* mass);

  // FAILED_PRECONDITION: the sequence's last tile has not come.
  absl::Status EndSequence();

  // Waits for the device. FAILED_PRECONDITION: sequences are missing.
  absl::StatusOr<LayerQuality> End();

 private:
  struct Pass;

  explicit LayerEvaluation(std::unique_ptr<RecallMetrics> recall);

  std::unique_ptr<RecallMetrics> recall_;
  std::unique_ptr<Pass> pass_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_LAYER_EVALUATION_H_
