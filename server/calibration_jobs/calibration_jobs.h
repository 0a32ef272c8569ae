#ifndef SEER_SERVER_CALIBRATION_JOBS_CALIBRATION_JOBS_H_
#define SEER_SERVER_CALIBRATION_JOBS_CALIBRATION_JOBS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "server/calibration_jobs/job_control.h"
#include "server/calibration_jobs/job_parts.h"
#include "server/calibration_jobs/job_view.h"
#include "server/calibration_jobs/job_watches.h"
#include "server/calibration_jobs/run/job_run.h"
#include "server/catalog/calibration_records.h"
#include "server/catalog/records.h"

namespace seer {

// The calibration jobs of the catalog, and the thread that runs them: one at a
// time, those first that ran when the server went down, then those queued,
// oldest first. Jobs of another model than the engine's are held, and shown as
// queued, until a server of that model has the catalog.
// docs/design/calibration_jobs.md.
//
// Thread-safe. Calls block on the disk: none belongs on a gRPC thread, but for
// those of watches(). Nobody else may change jobs of the catalog meanwhile.
// Errors are those of the catalog's call of that name; beside them UNAVAILABLE:
// the server stops.
class CalibrationJobs {
 public:
  using Reply = std::function<void(absl::StatusOr<JobView>)>;

  // Goes on with what ran before. `options` must be valid. Everything in
  // `parts` is borrowed.
  CalibrationJobs(const JobParts& parts, const JobOptions& options);
  // Stop(now).
  ~CalibrationJobs();
  CalibrationJobs(const CalibrationJobs&) = delete;
  CalibrationJobs& operator=(const CalibrationJobs&) = delete;

  // Whether the dataset would do. FAILED_PRECONDITION, DATASET_TOO_SHORT: its
  // tokens are counted, and fewer than two sequences; DAMAGED. NOT_FOUND.
  absl::Status CheckDataset(const CalibrationSpec& spec);
  // Errors of CheckDataset too.
  absl::StatusOr<JobView> Create(const CalibrationSpec& spec,
                                 const RequestKey& request);
  absl::StatusOr<JobView> Get(absl::string_view id);
  absl::StatusOr<Page<JobView>> List(const PageRequest& page);
  // Answers once the job is paused: at once, or, of the job that runs, when its
  // checkpoint is written, or JobOptions::checkpoint_wait is over or the disk
  // has refused it, which leaves the one before; then on the runner's thread,
  // where `reply` must not block nor call this object. Where the job is resumed
  // before that, with the job that runs; where it has ended, JOB_STATE.
  void Pause(absl::string_view id, Reply reply);
  absl::StatusOr<JobView> Resume(absl::string_view id);
  // The job that runs is given up within a poll period.
  absl::StatusOr<JobView> Cancel(absl::string_view id);

  // Of the jobs, by Get.
  JobWatches& watches() { return watches_; }

  // Lets the running job write a checkpoint until `deadline`, and go; ends
  // watches and pauses. What is queued or ran goes on with the next start. To
  // be called while the engine still works. Later calls wait for the first.
  void Stop(absl::Time deadline);

 private:
  // What could not be written to the catalog yet.
  struct UnwrittenEnd {
    std::string id;
    Failure failure;
    CalibrationProgress progress;
  };

  void Run();
  // Waits for a job and starts it, by the catalog's word; unset: stopping.
  std::optional<CalibrationJob> NextJob();
  // The next that the catalog has, started; unset: none. An error: try later.
  absl::StatusOr<std::optional<CalibrationJob>> TryNextJob()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteEnd(const UnwrittenEnd& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndRun(const absl::StatusOr<FinishedJob>& finished);
  // Tells the catalog of the current job's end.
  absl::Status Keep(const FinishedJob& finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same, again and again while the disk or the quota of gate sets is in
  // the way; gives the lock up between. CANCELLED: asked to leave off.
  absl::Status KeepOnceThereIsRoom(const FinishedJob& finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the catalog that a job of the runner's was no attempt.
  absl::Status LetGo(const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the catalog that the current job left off.
  absl::Status LeaveOff() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A job changed its state.
  void NoteChange(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteEnd(const CalibrationJob& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  JobView ViewOf(CalibrationJob record) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsCurrent(absl::string_view id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const JobParts parts_;
  const JobOptions options_;

  // Held while the catalog is told of a change that the runner and the RPCs
  // must agree on, and metrics with it; not while checkpoints are written.
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<JobControl> current_ ABSL_GUARDED_BY(mutex_);  // null: none
  std::vector<Reply> pausing_ ABSL_GUARDED_BY(mutex_);  // of the current job
  std::optional<UnwrittenEnd> unwritten_ ABSL_GUARDED_BY(mutex_);
  // That left off in order, which the disk did not take; "": none.
  std::string not_let_go_ ABSL_GUARDED_BY(mutex_);
  absl::Time not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  JobWatches watches_;
  Mutex join_mutex_;
  std::thread runner_;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_CALIBRATION_JOBS_H_
