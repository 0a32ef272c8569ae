#include "server/calibration_jobs/run/job_run.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file/mapped_file.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "engine/errors.h"
#include "server/calibration_jobs/run/gate_measurement.h"
#include "server/calibration_jobs/run/job_failure.h"
#include "server/calibration_jobs/tokens/dataset_tokens.h"
#include "server/calibration_jobs/tokens/scratch_file.h"

namespace seer {
namespace {

constexpr int64_t kMinSequences = 2;  // one to train on, one held out

absl::Status LeftOff() { return absl::CancelledError("the job left off"); }

// Whether the catalog says that the job has ended, or is forgotten.
bool HasEndedMeanwhile(const absl::Status& status) {
  const std::optional<ErrorReason> reason = ReasonOf(status);
  return absl::IsNotFound(status) || (reason && reason->reason == "JOB_STATE");
}

// UNAVAILABLE instead of trouble of the disk, which is no fault of the job's.
absl::Status OrLater(const absl::Status& status) {
  if (!IsTroubleOfDisk(status)) return status;
  Log(LogLevel::kError, "a calibration job waits for the disk",
      {{"error", status.ToString()}});
  return absl::UnavailableError(status.message());
}
template <typename T>
absl::StatusOr<T> OrLater(absl::StatusOr<T> result) {
  if (result.ok()) return result;
  return OrLater(result.status());
}

const char* NameOf(CalibrationPhase phase) {
  switch (phase) {
    case CalibrationPhase::kTraining:
      return "training";
    case CalibrationPhase::kProfiling:
      return "profiling";
    case CalibrationPhase::kEvaluating:
      return "evaluating";
  }
  return "";
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

absl::string_view AsText(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()),
          file.bytes().size()};
}

// `count` of the indices, at least one, spread evenly over them.
std::vector<int64_t> Spread(const std::vector<int64_t>& indices,
                            int64_t count) {
  const int64_t size = static_cast<int64_t>(indices.size());
  count = std::clamp(count, std::min<int64_t>(size, 1), size);
  std::vector<int64_t> spread;
  for (int64_t i = 0; i < count; ++i) {
    spread.push_back(indices[i * size / count]);
  }
  return spread;
}

absl::Status UnknownSetting(absl::string_view field, absl::string_view name) {
  return JobError("UNKNOWN_SETTING",
                  absl::StrCat("this server knows no ", field, " ", name));
}

absl::StatusOr<CalibrationTarget> TargetOf(const std::string& name) {
  if (name == "max") return CalibrationTarget::kMax;
  if (name == "mass") return CalibrationTarget::kMass;
  if (name == "root_mass") return CalibrationTarget::kRootMass;
  return UnknownSetting("target", name);
}

absl::StatusOr<CalibrationLoss> LossOf(const std::string& name) {
  if (name == "kl") return CalibrationLoss::kKl;
  if (name == "kl_reference") return CalibrationLoss::kKlReference;
  if (name == "mse") return CalibrationLoss::kMse;
  return UnknownSetting("loss", name);
}

GateSetFacts FactsOf(const GateFileFacts& file, const std::string& model) {
  GateSetFacts facts;
  facts.model = model;
  facts.design = file.design;
  facts.fingerprint = file.fingerprint;
  facts.has_profile = file.has_profile;
  facts.provenance = {file.target,         file.loss,  file.dataset_sha256,
                      file.dataset_tokens, file.steps, file.seed,
                      file.tool_version};
  return facts;
}

}  // namespace

CalibrationProgress ProgressOf(const CalibrationStatus& status) {
  return {NameOf(status.phase), status.step, status.steps, status.layer_losses,
          status.layer_validation_losses};
}

JobRun::JobRun(const JobParts& parts, const JobOptions& options,
               CalibrationJob job, JobControl* control)
    : parts_(parts),
      options_(options),
      job_(std::move(job)),
      control_(control) {}

absl::StatusOr<FinishedJob> JobRun::Run() {
  SEER_ASSIGN_OR_RETURN(const Dataset dataset, OrLater(FindDataset()));
  SEER_ASSIGN_OR_RETURN(const CalibrationOptions options,
                        TrainingOptions(dataset));
  SEER_RETURN_IF_ERROR(OrLater(Prepare(dataset)));
  SEER_ASSIGN_OR_RETURN(JobCheckpoint checkpoint, OrLater(LoadCheckpoint()));
  if (const auto* bytes = std::get_if<std::string>(&checkpoint.reached)) {
    SEER_ASSIGN_OR_RETURN(CalibrationResult result, Train(options, *bytes));
    Publish(result.status);
    SEER_RETURN_IF_ERROR(
        Save(result.status,
             SerializeTrained(parts_.engine->model().fingerprint, result), "")
            .status());
    return Finish(result);
  }
  const auto& result = std::get<CalibrationResult>(checkpoint.reached);
  Publish(result.status);
  return Finish(result);
}

absl::StatusOr<Dataset> JobRun::FindDataset() {
  SEER_ASSIGN_OR_RETURN(Dataset dataset,
                        parts_.catalog->GetDataset(job_.spec.dataset_id));
  if (dataset.damage) {
    return JobError("DATASET_DAMAGED", absl::StrCat("the dataset is damaged: ",
                                                    dataset.damage->message));
  }
  return dataset;
}

absl::Status JobRun::Prepare(const Dataset& dataset) {
  LiveProgress progress;
  progress.progress = job_.progress;
  progress.progress.phase = "preparing";
  progress.progress.steps = job_.spec.steps;
  control_->Publish(std::move(progress));
  TokenizingOptions options;
  options.folder = options_.folder;
  options.sequence_len = job_.spec.sequence_len;
  options.vocab_size = parts_.engine->model().vocab_size;
  SEER_ASSIGN_OR_RETURN(tokens_,
                        TokenizeDataset(dataset, *parts_.tokenizer, options,
                                        [this] { return interrupted(); }));
  if (dataset.facts.num_tokens != tokens_->num_tokens()) {
    const absl::Status set =
        parts_.catalog->SetDatasetTokens(dataset.id, tokens_->num_tokens());
    if (!set.ok()) {
      Log(LogLevel::kWarning, "a dataset's tokens were counted and not noted",
          {{"dataset", dataset.id}, {"error", set.ToString()}});
    }
  }
  if (tokens_->num_sequences() >= kMinSequences) return absl::OkStatus();
  return JobError("DATASET_TOO_SHORT",
                  absl::StrCat("the dataset has ", tokens_->num_tokens(),
                               " tokens, and two sequences of ",
                               job_.spec.sequence_len, " are needed"));
}

absl::StatusOr<JobCheckpoint> JobRun::LoadCheckpoint() {
  if (!job_.has_checkpoint) return JobCheckpoint();
  SEER_ASSIGN_OR_RETURN(const std::string path,
                        parts_.catalog->CheckpointPath(job_.id));
  const absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  // It was read a moment ago.
  if (!file.ok()) return absl::InternalError(file.status().message());
  SEER_ASSIGN_OR_RETURN(JobCheckpoint checkpoint,
                        ParseJobCheckpoint(AsText(*file)));
  if (checkpoint.fingerprint != parts_.engine->model().fingerprint) {
    return JobError("MODEL_CHANGED",
                    "the model has other weights than when the job began");
  }
  return checkpoint;
}

absl::StatusOr<CalibrationOptions> JobRun::TrainingOptions(
    const Dataset& dataset) const {
  const CalibrationSpec& spec = job_.spec;
  CalibrationOptions options;
  options.design = spec.design;
  SEER_ASSIGN_OR_RETURN(options.target, TargetOf(spec.target));
  SEER_ASSIGN_OR_RETURN(options.loss, LossOf(spec.loss));
  options.steps = spec.steps;
  options.warmup_steps = spec.warmup_steps;
  options.sequences_per_step = spec.tokens_per_step / spec.sequence_len;
  options.sequence_len = spec.sequence_len;
  options.learning_rate = spec.learning_rate;
  options.seed = spec.seed;
  options.device_share = spec.device_share;
  options.validation_fraction = spec.validation_fraction;
  options.dataset_sha256 = dataset.sha256;
  options.tool_version = kVersion;
  // A checkpoint is bound to the options: the time must be one that stays.
  options.created = job_.create_time;
  return options;
}

absl::StatusOr<std::unique_ptr<CalibrationRun>> JobRun::Begin(
    const CalibrationOptions& options, const std::string& checkpoint) {
  while (true) {
    auto run = parts_.calibrator->Start(options, tokens_, checkpoint);
    const std::optional<ErrorReason> reason = ReasonOf(run.status());
    if (run.ok() || !reason || reason->reason != "BUSY") return run;
    if (interrupted()) return LeftOff();
    absl::SleepFor(options_.poll_period);
  }
}

absl::StatusOr<CalibrationResult> JobRun::Train(
    const CalibrationOptions& options, const std::string& checkpoint) {
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<CalibrationRun> run,
                        Begin(options, checkpoint));
  const std::string header = TrainingHeader(parts_.engine->model().fingerprint);
  absl::Time next_checkpoint = absl::Now() + options_.checkpoint_period;
  std::optional<absl::Time> leave_by;  // set: asked to leave off
  while (true) {
    const absl::Time now = absl::Now();
    const JobWish wish = control_->wish();
    if (wish == JobWish::kCancel) return LeftOff();
    if (wish == JobWish::kNone) {
      leave_by.reset();
    } else if (!leave_by) {
      leave_by = now + options_.checkpoint_wait;
      run->RequestCheckpoint();
    }
    if (leave_by && now >= std::min(*leave_by, control_->leave_by())) {
      Log(LogLevel::kWarning, "a job leaves off without a new checkpoint",
          {{"job", job_.id}});
      return LeftOff();
    }
    if (now >= next_checkpoint) {
      run->RequestCheckpoint();
      next_checkpoint = now + options_.checkpoint_period;
    }
    std::optional<CalibrationEvent> event =
        run->Next(now + options_.poll_period);
    Publish(run->status());
    if (!event) continue;
    if (auto* error = std::get_if<absl::Status>(&*event)) return *error;
    if (auto* result = std::get_if<CalibrationResult>(&*event)) {
      return std::move(*result);
    }
    const auto& reached = std::get<CalibrationCheckpoint>(*event);
    SEER_ASSIGN_OR_RETURN(const bool saved,
                          Save(reached.status, header, reached.bytes));
    if (leave_by) return LeftOff();
    next_checkpoint = absl::Now() + (saved ? options_.checkpoint_period
                                           : options_.retry_delay);
  }
}

absl::StatusOr<bool> JobRun::Save(const CalibrationStatus& status,
                                  absl::string_view header,
                                  absl::string_view bytes) {
  const absl::Status saved = parts_.catalog->SaveCheckpoint(
      job_.id, ProgressOf(status), {header, bytes});
  if (saved.ok()) return true;
  if (HasEndedMeanwhile(saved)) return LeftOff();
  Log(LogLevel::kError,
      "a calibration job's checkpoint could not be written; it works on and "
      "tries again",
      {{"job", job_.id}, {"error", saved.ToString()}});
  return false;
}

absl::StatusOr<FinishedJob> JobRun::Finish(const CalibrationResult& result) {
  SEER_ASSIGN_OR_RETURN(ScratchFile file, OrLater(ScratchFile::InMemory()));
  SEER_RETURN_IF_ERROR(OrLater(file.Append(result.file)));
  GateMeasurement::Options options;
  options.gate_slot_wait = options_.gate_slot_wait;
  options.scorer = {job_.spec.device_share, options_.poll_period};
  GateMeasurement measurement(
      parts_, options, [this] { return interrupted(); },
      [this](absl::Duration time_left) {
        LiveProgress progress = control_->progress();
        progress.time_left = time_left;
        control_->Publish(std::move(progress));
      });
  JobResult end = {ProgressOf(result.status), QualityOf(result.quality)};
  SEER_RETURN_IF_ERROR(measurement.Measure(
      file.path(), *tokens_,
      Spread(result.held_out,
             result.quality.num_tokens / job_.spec.sequence_len),
      end.quality));
  SEER_ASSIGN_OR_RETURN(const GateFileFacts facts,
                        parts_.gates->Validate(file.path()));
  return FinishedJob{std::move(end), FactsOf(facts, job_.spec.model),
                     result.file};
}

void JobRun::Publish(const CalibrationStatus& status) {
  parts_.metrics->SetProgress(
      Mean(status.layer_losses), Mean(status.layer_validation_losses),
      status.steps == 0 ? 0.0
                        : static_cast<double>(status.step) /
                              static_cast<double>(status.steps));
  control_->Publish(
      {ProgressOf(status), status.tokens_per_second, status.time_left});
}

}  // namespace seer
