// What a calibration run is made of. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_DISTILLATION_SETUP_H_
#define SEER_ENGINE_CALIBRATION_RUN_DISTILLATION_SETUP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/files/run_checkpoint.h"
#include "engine/calibration/plan/tile_spans.h"
#include "engine/calibration/run/layer_source.h"
#include "engine/calibration/scoring/layer_scorer.h"
#include "engine/calibration/training/layer_trainer.h"
#include "engine/calibrator.h"
#include "engine/device/device.h"
#include "engine/gate/gate.h"
#include "engine/token.h"
#include "kernels/rope.h"

namespace seer {

struct DistillationSetup {
  CalibrationOptions options;  // as CheckCalibrationOptions wants them
  std::shared_ptr<const TokenSequences> sequences;  // as CheckSequences
  // Of the base model. Rope, device and source outlive the run.
  GateShape shape;
  RopeTable rope;  // on the device, of every position
  std::string fingerprint;
  int32_t vocab_size = 0;
  Device* device = nullptr;
  LayerSource* source = nullptr;
  SpanLimits limits;
  std::optional<RunState> resumed;  // what the run goes on from
};

// Of the setup's sequences. Errors of TokenSequences::Read as they are.
// INVALID_ARGUMENT: it is not sequence_len ids of the vocabulary.
absl::StatusOr<std::vector<TokenId>> ReadSequence(
    const DistillationSetup& setup, int64_t index);

// A layer's trainer, of a design with weights, as it begins or goes on.
// INVALID_ARGUMENT, CHECKPOINT_DAMAGED. Errors of LayerTrainer::Create.
absl::StatusOr<std::unique_ptr<LayerTrainer>> MakeTrainer(
    const DistillationSetup& setup, int32_t layer);

// Any layer's, of a design without.
std::unique_ptr<LayerScorer> MakeWeightlessScorer(
    const DistillationSetup& setup);

// What loading from a checkpoint answered: INVALID_ARGUMENT is
// CHECKPOINT_DAMAGED.
absl::Status OrDamaged(const absl::Status& loaded);

// An upper estimate of what a run takes of the device's memory, the source's
// aside.
int64_t DistillationBytes(const DistillationSetup& setup);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_DISTILLATION_SETUP_H_
