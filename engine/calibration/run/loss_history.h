// What the losses of a calibration run have been. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_LOSS_HISTORY_H_
#define SEER_ENGINE_CALIBRATION_RUN_LOSS_HISTORY_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/calibration/training/checkpoint.h"

namespace seer {

class LossHistory {
 public:
  explicit LossHistory(int32_t num_layers) : layers_(num_layers) {}

  // Of a layer's next step. ABORTED, naming layer and step: five steps in a row
  // had more than four times the loss of step 0, whose weights knew nothing.
  absl::Status AddStep(int32_t layer, double loss);

  // [layers]: the mean of each layer's last 10 steps; empty before the first.
  std::vector<double> RecentMeans() const;

  // Losses [layers] of held-out data.
  void SetValidation(std::vector<double> losses) {
    validation_ = std::move(losses);
  }
  const std::vector<double>& validation() const { return validation_; }

  // Between two steps. Named history.*.
  void Save(Checkpoint* checkpoint) const;
  // Goes on from where Save was called, `step` steps having been added.
  // INVALID_ARGUMENT names the tensor that is missing or of another shape.
  absl::Status Load(const Checkpoint& checkpoint, int64_t step);

 private:
  struct Layer {
    int64_t num_steps = 0;
    double first = 0.0;
    std::vector<double> recent;  // at most 10, the newest last
  };

  std::vector<Layer> layers_;
  std::vector<double> validation_;  // empty: never measured
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_LOSS_HISTORY_H_
