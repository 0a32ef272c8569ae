#ifndef SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_RUN_H_
#define SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_RUN_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/calibrator.h"
#include "server/calibration_jobs/job_control.h"
#include "server/calibration_jobs/job_parts.h"
#include "server/calibration_jobs/run/job_checkpoint.h"
#include "server/calibration_jobs/tokens/token_file.h"
#include "server/catalog/records.h"

namespace seer {

// What a job has made, not yet kept.
struct FinishedJob {
  JobResult result;
  GateSetFacts facts;
  std::string file;
};

// One stretch of one job, from where its checkpoint is to its end or until it
// is asked to leave off. For one thread, which it blocks.
class JobRun {
 public:
  // `job` is running by the catalog's word, and of the engine's model.
  // Everything is borrowed.
  JobRun(const JobParts& parts, const JobOptions& options, CalibrationJob job,
         JobControl* control);

  // What it has come to. CANCELLED: it has left off, as it was asked to, or
  // found that it had ended. UNAVAILABLE: the engine stops, or the disk is in
  // trouble, which is logged; it can go on later. Any other error is why it
  // fails: see FailureOf.
  absl::StatusOr<FinishedJob> Run();

 private:
  // DATASET_DAMAGED.
  absl::StatusOr<Dataset> FindDataset();
  // Tokenizes. DATASET_TOO_SHORT.
  absl::Status Prepare(const Dataset& dataset);
  // CHECKPOINT_DAMAGED. MODEL_CHANGED: it was made with other weights.
  absl::StatusOr<JobCheckpoint> LoadCheckpoint();
  // UNKNOWN_SETTING.
  absl::StatusOr<CalibrationOptions> TrainingOptions(
      const Dataset& dataset) const;
  // Waits for a run before it to be gone.
  absl::StatusOr<std::unique_ptr<CalibrationRun>> Begin(
      const CalibrationOptions& options, const std::string& checkpoint);
  absl::StatusOr<CalibrationResult> Train(const CalibrationOptions& options,
                                          const std::string& checkpoint);
  // False: it is to be tried again; the disk's trouble is logged. CANCELLED:
  // the job has ended.
  absl::StatusOr<bool> Save(const CalibrationStatus& status,
                            absl::string_view header, absl::string_view bytes);
  // Measures perplexity.
  absl::StatusOr<FinishedJob> Finish(const CalibrationResult& result);

  bool interrupted() const { return control_->wish() != JobWish::kNone; }
  void Publish(const CalibrationStatus& status);

  const JobParts parts_;
  const JobOptions options_;
  const CalibrationJob job_;
  JobControl* const control_;
  std::shared_ptr<const TokenFile> tokens_;
};

// A status in the catalog's words.
CalibrationProgress ProgressOf(const CalibrationStatus& status);

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_RUN_H_
