// A calibration from its first weights to its gate set file, as a sequence of
// micro-steps. Knows no thread, queue or clock. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_DISTILLATION_RUN_H_
#define SEER_ENGINE_CALIBRATION_RUN_DISTILLATION_RUN_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/files/run_checkpoint.h"
#include "engine/calibration/files/tensor_file.h"
#include "engine/calibration/plan/sequence_order.h"
#include "engine/calibration/run/distillation_setup.h"
#include "engine/calibration/run/layer_measurement.h"
#include "engine/calibration/run/loss_history.h"
#include "engine/calibration/run/micro_step_kind.h"
#include "engine/calibration/run/sequence_pass.h"
#include "engine/calibration/scoring/layer_scorer.h"
#include "engine/calibration/training/layer_trainer.h"
#include "engine/calibrator.h"

namespace seer {

struct DistillationResult {
  TensorFile file;  // the gate set's
  CalibrationQuality quality;
  std::vector<int64_t> held_out;  // ascending
};

// Trains every layer from one forward pass: sequence by sequence, layer by
// layer, span by span; gradients add up over the step's sequences, then each
// layer's weights are updated. Now and then, and after the last step, the loss
// is measured on held-out sequences; then, on training sequences, what reading
// is worth to each head, to which the budget profile is fitted, and recall on
// held-out ones. A design without weights has only these two measurements, and
// its file nothing but the profile.
//
// What comes out is a function of options, sequences, base model and device
// (docs/design/calibration_run.md): neither pauses between micro-steps nor
// checkpoints nor memory given back change a bit of it. Between micro-steps
// only what holds_memory says lies in the source.
//
// One thread, to which the device is bound.
class DistillationRun {
 public:
  explicit DistillationRun(DistillationSetup setup);

  ~DistillationRun();

  // The next micro-step of a run that is not done; its work is enqueued, and
  // waited for where results are read. An error ends the run:
  // ABORTED, DIVERGED: training diverged; layer and step are named.
  // RESOURCE_EXHAUSTED, OUT_OF_MEMORY. INVALID_ARGUMENT, CHECKPOINT_DAMAGED.
  // INTERNAL. What reading a sequence answered.
  absl::StatusOr<MicroStepKind> NextMicroStep();
  // What that will do; not known to it is whether the source has memory.
  MicroStepKind next_kind() const;

  bool is_done() const { return stage_ == Stage::kDone; }
  // Once, of a run that is done.
  DistillationResult TakeResult() { return std::move(result_); }

  // The source's memory is wanted: it gets it back, and the optimizer step or
  // the measured sequence under way begins anew later.
  void GiveMemoryBack();
  bool holds_memory() const { return pass_.is_under_way(); }

  // A state to go on from is saved by the next micro-steps that begin between
  // two optimizer steps; then TakeCheckpoint has it, once.
  void RequestCheckpoint() { wants_checkpoint_ = true; }
  std::unique_ptr<RunState> TakeCheckpoint() { return std::move(saved_); }

  // Without pace and time_left.
  CalibrationStatus status() const;
  // What is left of the base model's work, tokens times layers.
  int64_t num_token_layers_left() const;

  const CalibrationOptions& options() const { return setup_.options; }

 private:
  enum class Stage {
    kSetUp,
    kTraining,
    kValidating,
    kProfiling,
    kEvaluating,
    kExporting,
    kDone
  };

  absl::StatusOr<MicroStepKind> Dispatch();
  absl::Status SetUpLayer();
  absl::StatusOr<MicroStepKind> Train();
  absl::Status TrainOn(const PassPart& part);
  absl::Status UpdateLayer();
  absl::StatusOr<MicroStepKind> Measure();
  absl::Status EndMeasurement();
  absl::Status ExportLayer();
  absl::Status SaveLayer();
  // To what comes after set-up, a step, or a validation.
  void GoOn();
  void BeginMeasuring(Stage stage);

  // As SequencePass::Begin.
  absl::StatusOr<bool> BeginSequence(int64_t index, int64_t border,
                                     const WantedTargets& wanted);
  MicroStepKind SpanKind() const;
  // Of the sequences that the stage goes through.
  int64_t border() const;
  bool IsBetweenSteps() const;
  bool IsValidationDue() const;
  int64_t NumValidationsLeft() const;

  DistillationSetup setup_;
  const int32_t num_layers_;
  const int64_t loss_tile_;  // the first of a sequence that counts
  SequenceOrder order_;
  // [layers], once set up; none of a design without weights.
  std::vector<std::unique_ptr<LayerTrainer>> trainers_;
  LayerScorers scorers_;  // [layers], once set up
  LossHistory history_;
  SequencePass pass_;

  Stage stage_ = Stage::kSetUp;
  int64_t step_ = 0;
  int64_t validated_step_ = 0;
  int64_t in_step_ = 0;  // sequences of the step under way that are through
  int32_t layer_ = 0;    // to set up, update or export next
  bool step_begun_ = false;
  std::unique_ptr<LayerMeasurement> measurement_;
  DistillationResult result_;

  bool wants_checkpoint_ = false;
  std::unique_ptr<RunState> saving_;  // layers [0, save_layer_) are in it
  int32_t save_layer_ = 0;
  std::unique_ptr<RunState> saved_;
  std::vector<TokenId> tokens_;  // read, and not begun with; or none
  bool read_failed_ = false;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_DISTILLATION_RUN_H_
