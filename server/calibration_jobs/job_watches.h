#ifndef SEER_SERVER_CALIBRATION_JOBS_JOB_WATCHES_H_
#define SEER_SERVER_CALIBRATION_JOBS_JOB_WATCHES_H_

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "server/calibration_jobs/job_view.h"

namespace seer {

// Somebody who is shown a job as it changes.
class JobWatcher {
 public:
  virtual ~JobWatcher() = default;
  // The job as it is, or why it cannot be seen any more: NOT_FOUND, UNAVAILABLE
  // where the server stops. False: this was no news, or the watcher is gone.
  // After true it is shown nothing until JobWatches::Ready. Called on the
  // watches' thread; must not block.
  virtual bool Show(const absl::StatusOr<JobView>& job) = 0;
};

// Shows jobs to their watchers, all on one thread: looks at each job once an
// interval, and at once when told that it changed, to show its end.
// Thread-safe.
class JobWatches {
 public:
  // May block on the disk.
  using Look = std::function<absl::StatusOr<JobView>(const std::string& id)>;

  explicit JobWatches(Look look);
  // Nobody may watch any more.
  ~JobWatches();

  // Shows the job at once, then not closer than `min_interval` until Remove,
  // but its end at once. After End it is shown UNAVAILABLE.
  void Add(std::shared_ptr<JobWatcher> watcher, const std::string& id,
           absl::Duration min_interval);
  // The watcher, which was shown something, can be shown more.
  void Ready(const JobWatcher* watcher);
  // Waits for nothing: a Show may still be under way, and keeps the watcher
  // alive.
  void Remove(const JobWatcher* watcher);

  // The job has ended.
  void Wake(const std::string& id);

  // Shows UNAVAILABLE to all, now and later.
  void End();

 private:
  struct Watch {
    std::shared_ptr<JobWatcher> watcher;
    std::string id;
    absl::Duration min_interval;
    absl::Time due;         // when it may be shown the job next
    bool woken = true;      // look before that, but show only an end
    bool is_shown = false;  // until it is ready again
  };

  void Run();
  // Whose job is to be looked at now, which is then `is_shown`; else null, with
  // the time until which there is none.
  Watch* NextDue(absl::Time now, absl::Time& wait_until)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Watch* Find(const JobWatcher* watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LookAt(Watch& watch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Look look_;
  Mutex mutex_;
  CondVar changed_;
  std::list<Watch> watches_ ABSL_GUARDED_BY(mutex_);
  bool has_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_JOB_WATCHES_H_
