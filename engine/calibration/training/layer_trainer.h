// Trains one layer's gate. No torch.
#ifndef SEER_ENGINE_CALIBRATION_TRAINING_LAYER_TRAINER_H_
#define SEER_ENGINE_CALIBRATION_TRAINING_LAYER_TRAINER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/tile_range.h"
#include "engine/calibration/training/checkpoint.h"
#include "engine/calibration/training_options.h"
#include "engine/device/device.h"
#include "engine/gate/attn_gate.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_design.h"
#include "kernels/rope.h"

namespace seer {

struct GateNetwork;

struct LayerTrainerOptions {
  GateShape shape;
  int32_t layer = 0;  // in [0, shape.num_layers)
  GateDesign design;
  // Project the queries also where the design has one pool of them: the double
  // case, as it always is with more.
  bool project_queries = false;
  TrainingOptions training;

  bool is_double() const {
    return project_queries || design.query_pools.size() > 1;
  }
};

struct StepResult {
  double loss = 0.0;
  double gradient_norm = 0.0;  // before it is clipped
  double learning_rate = 0.0;
};

// Loss and gradients add up over the ranges and sequences of a step; then the
// weights are updated. Weights are fp32; the forward pass rounds to the model's
// dtype where the engine does.
//
//   SEER_RETURN_IF_ERROR(trainer->BeginStep(step, {8192, 700}));
//   for each sequence:
//     for each range: SEER_RETURN_IF_ERROR(trainer->AddRange(range));
//     SEER_RETURN_IF_ERROR(trainer->EndSequence());
//   SEER_ASSIGN_OR_RETURN(const StepResult result, trainer->EndStep());
//
// Reproducible bit for bit on one device: the same options, sequences, ranges
// and, on the CPU, number of ATen's threads give the same weights, whatever
// runs between the calls and wherever training stopped and went on from a
// checkpoint. Other ranges, or another device, sum in another order.
//
// Calls within a step wait for nothing on the device; the others do. One thread
// at a time, to which the device is bound. Holds two copies of the weights more
// than the weights between steps, and during one a third; see GateSequence for
// what a sequence takes. After an error within a step the step is void:
// BeginStep repeats it. RESOURCE_EXHAUSTED, from any call: no memory.
class LayerTrainer {
 public:
  // With initial weights of the seed. `rope`: the base model's own, on the
  // device, for every position of the sequences to come; with `device` it
  // outlives the trainer. INVALID_ARGUMENT: an option is out of range.
  static absl::StatusOr<std::unique_ptr<LayerTrainer>> Create(
      const LayerTrainerOptions& options, const RopeTable& rope,
      Device* device);
  ~LayerTrainer();

  // The step to come: the number of updates made so far.
  int64_t next_step() const;

  // Begins step `step`, which must be next_step() and one of the schedule's.
  // `sequence_lens`: tokens of each of its sequences, in order. What an earlier
  // step left unfinished is dropped.
  absl::Status BeginStep(int64_t step, std::vector<int64_t> sequence_lens);

  // The current sequence's next range; they ascend without a gap. The first may
  // begin anywhere up to FirstLossTile of its sequence.
  // FAILED_PRECONDITION: there is no sequence to come. INVALID_ARGUMENT: it is
  // not the next range, or lacks a pointer.
  absl::Status AddRange(const TileRange& range);

  // FAILED_PRECONDITION: the sequence's last tile has not come.
  absl::Status EndSequence();

  // Updates the weights. FAILED_PRECONDITION: sequences are missing.
  // ABORTED, naming layer and step: training diverged, to a loss or a gradient
  // that is not finite; the weights are as they were.
  absl::StatusOr<StepResult> EndStep();

  // Drops the step under way, if there is one; BeginStep repeats it.
  void AbandonStep();

  // All that later steps depend on, named layers.{layer}.*: added to
  // `checkpoint`. FAILED_PRECONDITION: a step is under way.
  absl::Status Save(Checkpoint* checkpoint) const;
  // Goes on from where Save was called, on a trainer of equal options.
  // INVALID_ARGUMENT names the tensor that is missing, of another type or
  // shape, or not finite: nothing has changed then.
  absl::Status Load(const Checkpoint& checkpoint);

  // The weights in the model's dtype.
  absl::StatusOr<AttnGateWeights> Export() const;

  const LayerTrainerOptions& options() const { return options_; }
  // The gate as it is; changes with the next EndStep.
  const GateNetwork& network() const;
  Device* device() const { return device_; }

 private:
  struct Tensors;
  struct Step;

  LayerTrainer(const LayerTrainerOptions& options, Device* device);

  absl::Status Update(double learning_rate, StepResult* result);

  const LayerTrainerOptions options_;
  Device* const device_;
  std::unique_ptr<Tensors> tensors_;
  std::unique_ptr<Step> step_;  // null: none is under way
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TRAINING_LAYER_TRAINER_H_
