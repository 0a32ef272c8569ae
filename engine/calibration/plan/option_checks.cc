#include "engine/calibration/plan/option_checks.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/errors.h"
#include "engine/gate/gate_design.h"
#include "engine/gate/gate_provenance.h"
#include "engine/gate/oracle.h"

namespace seer {
namespace {

constexpr int64_t kMaxSteps = 1000000;
constexpr int64_t kMaxSequencesPerStep = 65536;
constexpr int64_t kMinSequenceLen = 128;
constexpr int64_t kMinSequences = 2;

absl::Status CheckRange(const char* field, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(
      field, absl::StrCat("must be in [", low, ", ", high, "], is ", value));
}

// A NaN is in no range.
absl::Status CheckShare(const char* field, double value, double high) {
  if (value > 0.0 && value <= high) return absl::OkStatus();
  return InvalidField(field,
                      absl::StrCat("must be in (0, ", high, "], is ", value));
}

// What is to stand in the file's header; empty: not known.
absl::Status CheckText(const char* field, const std::string& text) {
  if (text.empty()) return absl::OkStatus();
  const absl::Status status = ReadGateProvenance({{field, text}}).status();
  return status.ok() ? status : InvalidField(field, status.message());
}

// The target is what an oracle ranks by.
absl::Status CheckOracle(Oracle oracle, CalibrationTarget target) {
  const bool is_its_own =
      (oracle != Oracle::kMax || target == CalibrationTarget::kMax) &&
      (oracle != Oracle::kMass || target == CalibrationTarget::kMass);
  if (is_its_own) return absl::OkStatus();
  return InvalidField("target", "is not the one that the oracle ranks by");
}

}  // namespace

absl::Status CheckCalibrationOptions(const CalibrationOptions& options,
                                     int64_t context_len) {
  const bool has_weights = HasWeights(options.design);
  if (has_weights) {
    const absl::Status design = ParseGateDesign(options.design).status();
    if (!design.ok()) return InvalidField("design", design.message());
  }
  const absl::Status oracle =
      CheckOracle(OracleNamed(options.design), options.target);
  if (!oracle.ok()) return oracle;
  if (options.loss != CalibrationLoss::kKl &&
      options.target != CalibrationTarget::kMax) {
    return InvalidField("loss",
                        "kl_reference and mse are for the max target only");
  }
  for (const absl::Status& status : {
           has_weights ? CheckRange("steps", options.steps, 1, kMaxSteps)
                       : CheckRange("steps", options.steps, 0, 0),
           CheckRange("warmup_steps", options.warmup_steps, 0, options.steps),
           CheckRange("sequences_per_step", options.sequences_per_step, 1,
                      kMaxSequencesPerStep),
           CheckRange("sequence_len", options.sequence_len, kMinSequenceLen,
                      context_len),
           CheckShare("learning_rate", options.learning_rate, 1.0),
           CheckShare("device_share", options.device_share, 1.0),
           CheckShare("validation_fraction", options.validation_fraction, 0.5),
           CheckText("dataset_sha256", options.dataset_sha256),
           CheckText("tool_version", options.tool_version),
       }) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckSequences(const TokenSequences& sequences) {
  const int64_t num_sequences = sequences.num_sequences();
  if (num_sequences >= kMinSequences) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "the dataset has ", num_sequences,
                        " sequences; one to train on and one to hold out are "
                        "the least")),
                    {"DATASET_TOO_SHORT", kMinSequences, num_sequences});
}

GateLoss GateLossOf(const CalibrationOptions& options) {
  switch (options.loss) {
    case CalibrationLoss::kKl:
      return options.target == CalibrationTarget::kRootMass
                 ? GateLoss::kKlOfRoot
                 : GateLoss::kKl;
    case CalibrationLoss::kKlReference:
      return GateLoss::kKlReference;
    case CalibrationLoss::kMse:
      break;
  }
  return GateLoss::kMse;
}

TrainingOptions TrainingOptionsOf(const CalibrationOptions& options) {
  TrainingOptions training;
  training.loss = GateLossOf(options);
  training.schedule.peak = options.learning_rate;
  training.schedule.num_warmup_steps = options.warmup_steps;
  training.schedule.num_steps = options.steps;
  training.seed = options.seed;
  return training;
}

}  // namespace seer
