#include "engine/calibration/run/distillation_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/files/gate_file.h"
#include "engine/calibration/plan/option_checks.h"
#include "engine/calibration/run/measured_quality.h"
#include "engine/calibration/scoring/trained_scorer.h"
#include "engine/errors.h"
#include "engine/gate/gate_design.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// Validation happens this often, and not more often than every so many steps.
constexpr int64_t kNumValidations = 20;
constexpr int64_t kMinValidationInterval = 10;

// Sequences of each measurement, at most.
constexpr int64_t kValidationSequences = 4;
constexpr int64_t kProfilingSequences = 8;
constexpr int64_t kEvaluationSequences = 16;

int64_t ValidationInterval(int64_t steps) {
  return std::max(kMinValidationInterval,
                  (steps + kNumValidations - 1) / kNumValidations);
}

SequencePass::Parts PassPartsOf(const DistillationSetup& setup) {
  SequencePass::Parts parts;
  parts.source = setup.source;
  parts.sequence_len = setup.options.sequence_len;
  parts.num_layers = setup.shape.num_layers;
  parts.target = setup.options.target;
  parts.limits = setup.limits;
  return parts;
}

// As DistillationRun::NextMicroStep promises them.
absl::Status Worded(const absl::Status& status) {
  if (ReasonOf(status).has_value()) return status;
  switch (status.code()) {
    case absl::StatusCode::kAborted:
      return WithReason(status, {"DIVERGED", std::nullopt, std::nullopt});
    case absl::StatusCode::kResourceExhausted:
      return WithReason(status, {"OUT_OF_MEMORY", std::nullopt, std::nullopt});
    case absl::StatusCode::kInternal:
      return status;
    default:
      return absl::InternalError(
          absl::StrCat("calibration: ", status.message()));
  }
}

std::vector<int64_t> FirstOf(const std::vector<int64_t>& all, int64_t most) {
  const int64_t count = std::min(static_cast<int64_t>(all.size()), most);
  return {all.begin(), all.begin() + count};
}

}  // namespace

DistillationRun::DistillationRun(DistillationSetup setup)
    : setup_(std::move(setup)),
      num_layers_(setup_.shape.num_layers),
      loss_tile_(FirstLossTile(GateLossOf(setup_.options),
                               NumBlocks(setup_.options.sequence_len))),
      order_(setup_.sequences->num_sequences(),
             setup_.options.validation_fraction, setup_.options.seed),
      history_(num_layers_),
      pass_(PassPartsOf(setup_)) {
  if (setup_.resumed.has_value()) {
    step_ = setup_.resumed->step;
    validated_step_ = setup_.resumed->validated_step;
  }
  result_.held_out = order_.held_out();
  std::sort(result_.held_out.begin(), result_.held_out.end());
}

DistillationRun::~DistillationRun() = default;

absl::StatusOr<MicroStepKind> DistillationRun::NextMicroStep() {
  absl::StatusOr<MicroStepKind> kind = Dispatch();
  if (kind.ok() || read_failed_) return kind;
  return Worded(kind.status());
}

MicroStepKind DistillationRun::next_kind() const {
  if (saving_ != nullptr || (wants_checkpoint_ && IsBetweenSteps())) {
    return MicroStepKind::kSave;
  }
  switch (stage_) {
    case Stage::kSetUp:
      return MicroStepKind::kSetUp;
    case Stage::kTraining:
      return in_step_ == setup_.options.sequences_per_step
                 ? MicroStepKind::kUpdate
                 : SpanKind();
    case Stage::kExporting:
      return MicroStepKind::kExport;
    default:
      return SpanKind();
  }
}

int64_t DistillationRun::border() const {
  const bool has_loss_alone =
      stage_ == Stage::kTraining || stage_ == Stage::kValidating;
  return has_loss_alone ? loss_tile_ : 0;
}

MicroStepKind DistillationRun::SpanKind() const {
  const bool is_scored = pass_.is_under_way() ? pass_.next_is_scored()
                                              : pass_.FirstIsScored(border());
  if (!is_scored) return MicroStepKind::kFirstSpan;
  switch (stage_) {
    case Stage::kValidating:
      return MicroStepKind::kValidationSpan;
    case Stage::kProfiling:
      return MicroStepKind::kProfilingSpan;
    case Stage::kEvaluating:
      return MicroStepKind::kEvaluationSpan;
    default:
      return MicroStepKind::kTrainingSpan;
  }
}

absl::StatusOr<MicroStepKind> DistillationRun::Dispatch() {
  if (next_kind() == MicroStepKind::kSave) {
    SEER_RETURN_IF_ERROR(SaveLayer());
    return MicroStepKind::kSave;
  }
  switch (stage_) {
    case Stage::kSetUp:
      SEER_RETURN_IF_ERROR(SetUpLayer());
      return MicroStepKind::kSetUp;
    case Stage::kTraining:
      return Train();
    case Stage::kValidating:
    case Stage::kProfiling:
    case Stage::kEvaluating:
      return Measure();
    case Stage::kExporting:
      SEER_RETURN_IF_ERROR(ExportLayer());
      return MicroStepKind::kExport;
    case Stage::kDone:
      break;
  }
  return absl::InternalError("the run is done");
}

absl::Status DistillationRun::SetUpLayer() {
  if (HasWeights(setup_.options.design)) {
    SEER_ASSIGN_OR_RETURN(std::unique_ptr<LayerTrainer> trainer,
                          MakeTrainer(setup_, layer_));
    if (setup_.resumed.has_value() && layer_ == 0) {
      SEER_RETURN_IF_ERROR(OrDamaged(
          history_.Load(setup_.resumed->tensors, setup_.resumed->step)));
    }
    scorers_.push_back(std::make_unique<TrainedScorer>(trainer.get()));
    trainers_.push_back(std::move(trainer));
  } else {
    scorers_.push_back(MakeWeightlessScorer(setup_));
  }
  if (++layer_ < num_layers_) return absl::OkStatus();
  setup_.resumed.reset();
  GoOn();
  return absl::OkStatus();
}

void DistillationRun::GoOn() {
  layer_ = 0;
  in_step_ = 0;
  step_begun_ = false;
  if (IsValidationDue()) {
    BeginMeasuring(Stage::kValidating);
  } else if (step_ < setup_.options.steps) {
    stage_ = Stage::kTraining;
  } else {
    BeginMeasuring(Stage::kProfiling);
  }
}

bool DistillationRun::IsValidationDue() const {
  return step_ > validated_step_ &&
         (step_ == setup_.options.steps ||
          step_ % ValidationInterval(setup_.options.steps) == 0);
}

int64_t DistillationRun::NumValidationsLeft() const {
  const int64_t interval = ValidationInterval(setup_.options.steps);
  // Those due up to a step, but for the one behind the last.
  const auto due = [&](int64_t step) { return step / interval; };
  const int64_t last = setup_.options.steps;
  if (validated_step_ == last) return 0;
  return due(last) - due(validated_step_) + (last % interval != 0 ? 1 : 0);
}

absl::StatusOr<bool> DistillationRun::BeginSequence(
    int64_t index, int64_t border, const WantedTargets& wanted) {
  if (tokens_.empty()) {
    absl::StatusOr<std::vector<TokenId>> tokens = ReadSequence(setup_, index);
    read_failed_ = !tokens.ok();
    SEER_RETURN_IF_ERROR(tokens.status());
    tokens_ = *std::move(tokens);
  }
  SEER_ASSIGN_OR_RETURN(const bool begun, pass_.Begin(tokens_, border, wanted));
  if (begun) tokens_.clear();
  return begun;
}

absl::StatusOr<MicroStepKind> DistillationRun::Train() {
  const CalibrationOptions& options = setup_.options;
  if (in_step_ == options.sequences_per_step) {
    SEER_RETURN_IF_ERROR(UpdateLayer());
    return MicroStepKind::kUpdate;
  }
  if (!pass_.is_under_way()) {
    const int64_t position = step_ * options.sequences_per_step + in_step_;
    SEER_ASSIGN_OR_RETURN(
        const bool begun,
        BeginSequence(order_.At(position), border(), WantedTargets()));
    if (!begun) return MicroStepKind::kWait;
  }
  if (!step_begun_) {
    step_begun_ = true;
    const std::vector<int64_t> lens(options.sequences_per_step,
                                    options.sequence_len);
    for (const auto& trainer : trainers_) {
      SEER_RETURN_IF_ERROR(trainer->BeginStep(step_, lens));
    }
  }
  const MicroStepKind kind = SpanKind();
  SEER_ASSIGN_OR_RETURN(const PassPart part, pass_.Next());
  SEER_RETURN_IF_ERROR(TrainOn(part));
  return kind;
}

absl::Status DistillationRun::TrainOn(const PassPart& part) {
  LayerTrainer& trainer = *trainers_[part.layer];
  if (part.is_scored) SEER_RETURN_IF_ERROR(trainer.AddRange(part.range));
  if (part.ends_layer) SEER_RETURN_IF_ERROR(trainer.EndSequence());
  if (part.ends_sequence) {
    pass_.End();
    ++in_step_;
  }
  return absl::OkStatus();
}

absl::Status DistillationRun::UpdateLayer() {
  SEER_ASSIGN_OR_RETURN(const StepResult result, trainers_[layer_]->EndStep());
  SEER_RETURN_IF_ERROR(history_.AddStep(layer_, result.loss));
  if (++layer_ < num_layers_) return absl::OkStatus();
  ++step_;
  GoOn();
  return absl::OkStatus();
}

void DistillationRun::BeginMeasuring(Stage stage) {
  stage_ = stage;
  std::vector<int64_t> sequences;
  LayerQuestions questions;
  if (stage == Stage::kValidating) {
    sequences = FirstOf(order_.held_out(), kValidationSequences);
  } else if (stage == Stage::kProfiling) {
    questions.budgets.densities = ProfilingDensities();
    questions.utility = true;
    const int64_t count = std::min(order_.num_training(), kProfilingSequences);
    for (int64_t i = 0; i < count; ++i) sequences.push_back(order_.At(i));
  } else {
    questions.budgets.densities = ReportedDensities();
    questions.recall = true;
    sequences = FirstOf(order_.held_out(), kEvaluationSequences);
  }
  measurement_ = std::make_unique<LayerMeasurement>(
      std::move(sequences), std::move(questions), setup_.options.sequence_len,
      &scorers_);
}

absl::StatusOr<MicroStepKind> DistillationRun::Measure() {
  if (!pass_.is_under_way()) {
    WantedTargets wanted;
    wanted.mass = measurement_->questions().recall;
    wanted.output = measurement_->questions().utility;
    SEER_ASSIGN_OR_RETURN(
        const bool begun,
        BeginSequence(measurement_->sequence(), border(), wanted));
    if (!begun) return MicroStepKind::kWait;
  }
  const MicroStepKind kind = SpanKind();
  SEER_ASSIGN_OR_RETURN(const PassPart part, pass_.Next());
  SEER_RETURN_IF_ERROR(measurement_->Add(part));
  if (part.ends_sequence) pass_.End();
  if (measurement_->is_done()) SEER_RETURN_IF_ERROR(EndMeasurement());
  return kind;
}

absl::Status DistillationRun::EndMeasurement() {
  const std::unique_ptr<LayerMeasurement> done = std::move(measurement_);
  const std::vector<LayerQuality>& measured = done->means();
  if (stage_ == Stage::kValidating) {
    std::vector<double> losses;
    for (const LayerQuality& layer : measured) losses.push_back(layer.loss);
    history_.SetValidation(std::move(losses));
    validated_step_ = step_;
    GoOn();
  } else if (stage_ == Stage::kProfiling) {
    SEER_ASSIGN_OR_RETURN(const BudgetProfile profile, FitProfile(measured));
    result_.file = MakeGateFile(
        setup_.options, setup_.sequences->num_sequences(), setup_.fingerprint);
    AddBudgetProfile(profile, ProfileTargets(), &result_.file);
    BeginMeasuring(Stage::kEvaluating);
  } else {
    result_.quality =
        ToReport(measured, done->num_sequences() * setup_.options.sequence_len);
    stage_ = trainers_.empty() ? Stage::kDone : Stage::kExporting;
  }
  return absl::OkStatus();
}

absl::Status DistillationRun::ExportLayer() {
  SEER_ASSIGN_OR_RETURN(const AttnGateWeights weights,
                        trainers_[layer_]->Export());
  AddGateLayer(setup_.shape, layer_, weights, &result_.file);
  if (++layer_ == num_layers_) stage_ = Stage::kDone;
  return absl::OkStatus();
}

bool DistillationRun::IsBetweenSteps() const {
  return stage_ != Stage::kSetUp &&
         (stage_ != Stage::kTraining || (!step_begun_ && layer_ == 0));
}

absl::Status DistillationRun::SaveLayer() {
  if (saving_ == nullptr) {
    wants_checkpoint_ = false;
    save_layer_ = 0;
    saving_ = std::make_unique<RunState>();
    saving_->step = step_;
    saving_->validated_step = validated_step_;
    history_.Save(&saving_->tensors);
  }
  if (!trainers_.empty()) {
    SEER_RETURN_IF_ERROR(trainers_[save_layer_]->Save(&saving_->tensors));
  }
  if (++save_layer_ == num_layers_) saved_ = std::move(saving_);
  return absl::OkStatus();
}

void DistillationRun::GiveMemoryBack() {
  if (!pass_.is_under_way()) return;
  pass_.End();
  if (measurement_ != nullptr) measurement_->Abandon();
  if (step_begun_) {
    for (const auto& trainer : trainers_) trainer->AbandonStep();
  }
  in_step_ = 0;
  step_begun_ = false;
}

CalibrationStatus DistillationRun::status() const {
  CalibrationStatus status;
  if (stage_ == Stage::kProfiling ||
      (stage_ == Stage::kSetUp && setup_.options.steps == 0)) {
    status.phase = CalibrationPhase::kProfiling;
  } else if (stage_ >= Stage::kEvaluating) {
    status.phase = CalibrationPhase::kEvaluating;
  }
  status.step = step_;
  status.steps = setup_.options.steps;
  status.layer_losses = history_.RecentMeans();
  status.layer_validation_losses = history_.validation();
  return status;
}

int64_t DistillationRun::num_token_layers_left() const {
  const CalibrationOptions& options = setup_.options;
  const auto of_held_out = [this](int64_t most) {
    return std::min(static_cast<int64_t>(order_.held_out().size()), most);
  };
  const int64_t profiling =
      std::min(order_.num_training(), kProfilingSequences);
  const int64_t evaluation = of_held_out(kEvaluationSequences);
  int64_t sequences = 0;
  if (stage_ <= Stage::kValidating) {
    sequences = (options.steps - step_) * options.sequences_per_step -
                in_step_ +
                NumValidationsLeft() * of_held_out(kValidationSequences) +
                profiling + evaluation;
    if (stage_ == Stage::kValidating) {
      sequences += measurement_->num_left() - measurement_->num_sequences();
    }
  } else if (measurement_ != nullptr) {
    sequences = measurement_->num_left() +
                (stage_ == Stage::kProfiling ? evaluation : 0);
  }
  return sequences * options.sequence_len * num_layers_ -
         pass_.num_token_layers_done();
}

}  // namespace seer
