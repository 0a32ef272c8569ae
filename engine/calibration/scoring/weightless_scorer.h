// Gates without weights, measured: mean_pool and the oracles. No torch.
#ifndef SEER_ENGINE_CALIBRATION_SCORING_WEIGHTLESS_SCORER_H_
#define SEER_ENGINE_CALIBRATION_SCORING_WEIGHTLESS_SCORER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/calibration/scoring/layer_scorer.h"
#include "engine/calibration/training_options.h"
#include "engine/device/device.h"
#include "engine/gate/gate.h"

namespace seer {

// Any layer's. mean_pool scores as the engine does, rounded where its kernels
// round (kernels/gate_score/gate_score.h); an oracle by the target that ranges
// bring, which must be its own: its loss is 0.
class WeightlessScorer final : public LayerScorer {
 public:
  struct Options {
    std::string design;  // not one that HasWeights (engine/gate/gate_design.h)
    GateShape shape;
    GateLoss loss = GateLoss::kKl;
  };
  // The device outlives it.
  WeightlessScorer(Options options, const Device* device)
      : options_(std::move(options)), device_(device) {}

  absl::StatusOr<std::unique_ptr<ScorePass>> Begin(
      std::vector<int64_t> sequence_lens) const override;
  int32_t num_query_heads() const override {
    return options_.shape.num_query_heads;
  }
  const Device* device() const override { return device_; }

 private:
  const Options options_;
  const Device* const device_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_SCORING_WEIGHTLESS_SCORER_H_
