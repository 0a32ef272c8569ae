#include "server/calibration_jobs/rpc/job_codec.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "engine/sparsity_policy.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/message.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/wire_fields.h"

namespace seer {
namespace {

constexpr char kDefaultDesign[] = "Qavg_Kmaxminavg";
constexpr char kMeanPool[] = "mean_pool";
constexpr int64_t kMaxSteps = 1000000;
constexpr int64_t kMinSequenceLen = 128;
constexpr int64_t kMaxTokensPerStep = 16777216;
constexpr int64_t kDefaultSteps = 500;
constexpr int64_t kDefaultWarmupSteps = 20;
constexpr int64_t kDefaultTokensPerStep = 65536;
constexpr int64_t kDefaultSequenceLen = 8192;

std::string Path(absl::string_view field) {
  return absl::StrCat("calibration_job.", field);
}

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(Path(field), absl::StrCat("must be in [", low, ", ", high,
                                                "], is ", value));
}

// (0, high]. A NaN is in no range.
absl::Status CheckShare(absl::string_view field, double value, double high) {
  if (value > 0 && value <= high) return absl::OkStatus();
  return InvalidField(Path(field),
                      absl::StrCat("must be in (0, ", high, "], is ", value));
}

// A choice of max, min, avg, at least one, in this order.
bool IsPools(absl::string_view pools) {
  if (pools.empty()) return false;
  for (const char* const pool : {"max", "min", "avg"}) {
    absl::ConsumePrefix(&pools, pool);
  }
  return pools.empty();
}

bool IsDesign(absl::string_view design) {
  if (!absl::ConsumePrefix(&design, "Q")) return false;
  const size_t separator = design.find("_K");
  return separator != absl::string_view::npos &&
         IsPools(design.substr(0, separator)) &&
         IsPools(design.substr(separator + 2));
}

bool IsOracle(absl::string_view design) {
  return design == kOracleMaxName || design == kOracleMassName;
}

// There is something to train.
bool HasWeights(absl::string_view design) {
  return design != kMeanPool && !IsOracle(design);
}

absl::Status CheckDesign(const std::string& design, const ModelInfo& model) {
  if (IsOracle(design) && !model.allow_oracle_gates) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "this server does not offer ", design,
                          ": oracle gates are for comparison, start one with "
                          "--allow_oracle_gates")),
                      {"ORACLE_NOT_ALLOWED", {}, {}});
  }
  if (!HasWeights(design) || IsDesign(design)) return absl::OkStatus();
  return InvalidField(
      Path("design"),
      absl::StrCat("must be Q{pools}_K{pools}, each one or more of max, min, "
                   "avg in this order, or ",
                   kMeanPool, ", ", kOracleMaxName, " or ", kOracleMassName));
}

absl::Status CheckOutputOnly(const v1::CalibrationJob& job) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  job.GetReflection()->ListFields(job, &fields);
  for (const auto* field : fields) {
    if (field->number() == v1::CalibrationJob::kNameFieldNumber ||
        field->number() >= v1::CalibrationJob::kStateFieldNumber) {
      return InvalidField(Path(field->name()), "is output only");
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeObjective(const v1::CalibrationJob& job,
                             CalibrationSpec& spec) {
  const char* const default_target =
      spec.design == kOracleMassName ? "mass" : "max";
  switch (job.target()) {
    case v1::CALIBRATION_TARGET_UNSPECIFIED:
      spec.target = default_target;
      break;
    case v1::CALIBRATION_TARGET_MAX:
      spec.target = "max";
      break;
    case v1::CALIBRATION_TARGET_MASS:
      spec.target = "mass";
      break;
    case v1::CALIBRATION_TARGET_ROOT_MASS:
      spec.target = "root_mass";
      break;
    default:
      return InvalidField(Path("target"), "must be MAX, MASS or ROOT_MASS");
  }
  if (IsOracle(spec.design) && spec.target != default_target) {
    return InvalidField(Path("target"),
                        absl::StrCat("is not the one of ", spec.design));
  }
  switch (job.loss()) {
    case v1::CALIBRATION_LOSS_UNSPECIFIED:
    case v1::CALIBRATION_LOSS_KL:
      spec.loss = "kl";
      return absl::OkStatus();
    case v1::CALIBRATION_LOSS_KL_REFERENCE:
      spec.loss = "kl_reference";
      break;
    case v1::CALIBRATION_LOSS_MSE:
      spec.loss = "mse";
      break;
    default:
      return InvalidField(Path("loss"), "must be KL, KL_REFERENCE or MSE");
  }
  if (spec.target == "max") return absl::OkStatus();
  return InvalidField(Path("loss"), "goes with the target MAX only");
}

absl::Status DecodeSizes(const v1::CalibrationJob& job, int64_t context_len,
                         CalibrationSpec& spec) {
  const bool trains = HasWeights(spec.design);
  spec.steps = job.has_steps() ? job.steps() : (trains ? kDefaultSteps : 0);
  SEER_RETURN_IF_ERROR(
      CheckRange("steps", spec.steps, trains ? 1 : 0, trains ? kMaxSteps : 0));
  spec.warmup_steps = job.has_warmup_steps()
                          ? job.warmup_steps()
                          : std::min(kDefaultWarmupSteps, spec.steps);
  SEER_RETURN_IF_ERROR(
      CheckRange("warmup_steps", spec.warmup_steps, 0, spec.steps));
  spec.sequence_len = job.has_sequence_length()
                          ? job.sequence_length()
                          : std::min(kDefaultSequenceLen, context_len);
  SEER_RETURN_IF_ERROR(CheckRange("sequence_length", spec.sequence_len,
                                  kMinSequenceLen, context_len));
  spec.tokens_per_step =
      job.has_tokens_per_step()
          ? job.tokens_per_step()
          : std::max(kDefaultTokensPerStep, spec.sequence_len);
  return CheckRange("tokens_per_step", spec.tokens_per_step, spec.sequence_len,
                    kMaxTokensPerStep);
}

absl::Status DecodeShares(const v1::CalibrationJob& job,
                          CalibrationSpec& spec) {
  spec.learning_rate = job.has_learning_rate() ? job.learning_rate() : 0.001;
  SEER_RETURN_IF_ERROR(CheckShare("learning_rate", spec.learning_rate, 1));
  spec.device_share = job.has_device_share() ? job.device_share() : 0.2;
  SEER_RETURN_IF_ERROR(CheckShare("device_share", spec.device_share, 1));
  spec.validation_fraction =
      job.has_validation_fraction() ? job.validation_fraction() : 0.1;
  return CheckShare("validation_fraction", spec.validation_fraction, 0.5);
}

// Of what was asked for, before defaults.
std::string DigestOf(const v1::CalibrationJob& job) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    job.SerializeToCodedStream(&out);
  }
  return Sha256Hex(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

v1::CalibrationPhase EncodePhase(absl::string_view phase) {
  if (phase == "preparing") return v1::CALIBRATION_PHASE_PREPARING;
  if (phase == "training") return v1::CALIBRATION_PHASE_TRAINING;
  if (phase == "profiling") return v1::CALIBRATION_PHASE_PROFILING;
  if (phase == "evaluating") return v1::CALIBRATION_PHASE_EVALUATING;
  return v1::CALIBRATION_PHASE_UNSPECIFIED;
}

v1::CalibrationJobState EncodeState(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return v1::CALIBRATION_JOB_STATE_QUEUED;
    case JobState::kRunning:
      return v1::CALIBRATION_JOB_STATE_RUNNING;
    case JobState::kPaused:
      return v1::CALIBRATION_JOB_STATE_PAUSED;
    case JobState::kSucceeded:
      return v1::CALIBRATION_JOB_STATE_SUCCEEDED;
    case JobState::kFailed:
      return v1::CALIBRATION_JOB_STATE_FAILED;
    case JobState::kCancelled:
      return v1::CALIBRATION_JOB_STATE_CANCELLED;
  }
  return v1::CALIBRATION_JOB_STATE_UNSPECIFIED;
}

google::protobuf::Duration EncodeDuration(absl::Duration duration) {
  google::protobuf::Duration out;
  out.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return out;
}

v1::CalibrationProgress EncodeProgress(const JobView& view) {
  const CalibrationProgress& progress =
      view.live ? view.live->progress : view.record.progress;
  v1::CalibrationProgress out;
  out.set_phase(EncodePhase(progress.phase));
  out.set_step(progress.step);
  out.set_steps(view.record.spec.steps);
  out.mutable_layer_losses()->Add(progress.layer_losses.begin(),
                                  progress.layer_losses.end());
  out.mutable_layer_validation_losses()->Add(
      progress.layer_validation_losses.begin(),
      progress.layer_validation_losses.end());
  if (view.record.has_checkpoint) {
    out.set_checkpoint_step(view.record.progress.step);
  }
  if (!view.live) return out;
  out.set_tokens_per_second(view.live->tokens_per_second);
  if (view.live->time_left) {
    *out.mutable_eta() = EncodeDuration(*view.live->time_left);
  }
  return out;
}

void EncodeSpec(const CalibrationSpec& spec, v1::CalibrationJob& job) {
  job.set_display_name(spec.display_name);
  job.set_model(ModelNameOf(spec.model));
  job.set_dataset(DatasetName(spec.dataset_id));
  job.set_design(spec.design);
  job.set_target(EncodeTarget(spec.target));
  job.set_loss(EncodeLoss(spec.loss));
  job.set_steps(static_cast<int32_t>(spec.steps));
  job.set_warmup_steps(static_cast<int32_t>(spec.warmup_steps));
  job.set_tokens_per_step(static_cast<int32_t>(spec.tokens_per_step));
  job.set_sequence_length(static_cast<int32_t>(spec.sequence_len));
  job.set_learning_rate(spec.learning_rate);
  job.set_seed(spec.seed);
  job.set_device_share(spec.device_share);
  job.set_validation_fraction(spec.validation_fraction);
}

}  // namespace

absl::StatusOr<NewJob> DecodeNewJob(
    const v1::CreateCalibrationJobRequest& request, const ModelInfo& model,
    uint64_t drawn_seed) {
  const v1::CalibrationJob& job = request.calibration_job();
  NewJob out;
  SEER_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  SEER_RETURN_IF_ERROR(CheckOutputOnly(job));
  out.request = {request.request_id(), DigestOf(job)};
  out.validate_only = request.validate_only();
  CalibrationSpec& spec = out.spec;
  SEER_RETURN_IF_ERROR(
      CheckDisplayName(job.display_name(), Path("display_name")));
  spec.display_name = job.display_name();
  spec.model = model.model_id;
  if (!job.model().empty()) {
    SEER_ASSIGN_OR_RETURN(spec.model,
                          ParseModelName(job.model(), Path("model")));
    if (spec.model != model.model_id) return NoSuch("Model", job.model());
  }
  SEER_ASSIGN_OR_RETURN(spec.dataset_id,
                        ParseDatasetName(job.dataset(), Path("dataset")));
  spec.design = job.design().empty() ? kDefaultDesign : job.design();
  SEER_RETURN_IF_ERROR(CheckDesign(spec.design, model));
  SEER_RETURN_IF_ERROR(DecodeObjective(job, spec));
  SEER_RETURN_IF_ERROR(DecodeSizes(job, model.context_len, spec));
  SEER_RETURN_IF_ERROR(DecodeShares(job, spec));
  spec.seed = job.has_seed() ? job.seed() : drawn_seed;
  return out;
}

absl::StatusOr<absl::Duration> DecodeMinInterval(
    const v1::WatchCalibrationJobRequest& request) {
  if (!request.has_min_interval()) return absl::Seconds(1);
  const absl::Duration interval =
      absl::Seconds(request.min_interval().seconds()) +
      absl::Nanoseconds(request.min_interval().nanos());
  if (interval >= absl::Milliseconds(100) && interval <= absl::Seconds(60)) {
    return interval;
  }
  return InvalidField("min_interval", "must be in [0.1 s, 60 s]");
}

v1::CalibrationJob EncodeJob(const JobView& view) {
  const CalibrationJob& record = view.record;
  v1::CalibrationJob job;
  EncodeSpec(record.spec, job);
  job.set_state(EncodeState(record.state));
  if (record.id.empty()) return job;
  job.set_name(CalibrationJobName(record.id));
  *job.mutable_create_time() = EncodeTime(record.create_time);
  if (record.start_time != absl::InfinitePast()) {
    *job.mutable_start_time() = EncodeTime(record.start_time);
    *job.mutable_progress() = EncodeProgress(view);
  }
  if (record.end_time != absl::InfiniteFuture()) {
    *job.mutable_end_time() = EncodeTime(record.end_time);
  }
  if (record.quality) *job.mutable_quality() = EncodeQuality(*record.quality);
  job.set_gate_set(GateSetName(record.spec.model, record.gate_set_id));
  if (record.failure) *job.mutable_failure() = EncodeFailure(*record.failure);
  return job;
}

}  // namespace seer
