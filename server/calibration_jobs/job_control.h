#ifndef SEER_SERVER_CALIBRATION_JOBS_JOB_CONTROL_H_
#define SEER_SERVER_CALIBRATION_JOBS_JOB_CONTROL_H_

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "server/calibration_jobs/job_view.h"

namespace seer {

// What is asked of the job that runs, later ones of greater weight.
enum class JobWish {
  kNone,    // to go on
  kStop,    // to leave off in order: the server stops
  kPause,   // the same, for as long as nobody resumes it
  kCancel,  // to leave off at once: it has ended
};

// Between the thread that runs a job and those that ask for things.
// Thread-safe.
class JobControl {
 public:
  explicit JobControl(std::string id) : id_(std::move(id)) {}

  const std::string& id() const { return id_; }

  JobWish wish() const {
    MutexLock lock(&mutex_);
    return wish_;
  }
  // A weaker wish than there is changes nothing.
  void Ask(JobWish wish) {
    MutexLock lock(&mutex_);
    if (wish > wish_) wish_ = wish;
  }
  // Takes a wish to pause back.
  void Withdraw() {
    MutexLock lock(&mutex_);
    if (wish_ == JobWish::kPause) wish_ = JobWish::kNone;
  }

  // When a job that was asked to leave off must, without a checkpoint if need
  // be.
  absl::Time leave_by() const {
    MutexLock lock(&mutex_);
    return leave_by_;
  }
  void LeaveBy(absl::Time time) {
    MutexLock lock(&mutex_);
    if (time < leave_by_) leave_by_ = time;
  }

  LiveProgress progress() const {
    MutexLock lock(&mutex_);
    return progress_;
  }
  void Publish(LiveProgress progress) {
    MutexLock lock(&mutex_);
    progress_ = std::move(progress);
  }

 private:
  const std::string id_;
  mutable Mutex mutex_;
  JobWish wish_ ABSL_GUARDED_BY(mutex_) = JobWish::kNone;
  absl::Time leave_by_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  LiveProgress progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_JOB_CONTROL_H_
