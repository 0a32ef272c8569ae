#ifndef SEER_SERVER_CALIBRATION_JOBS_JOB_VIEW_H_
#define SEER_SERVER_CALIBRATION_JOBS_JOB_VIEW_H_

#include <optional>

#include "absl/time/time.h"
#include "server/catalog/calibration_records.h"

namespace seer {

// How far a job is that runs now.
struct LiveProgress {
  CalibrationProgress progress;
  double tokens_per_second = 0.0;           // of training, over a minute
  std::optional<absl::Duration> time_left;  // unset: not known
};

// A job as the catalog has it and, while it runs, as it is.
struct JobView {
  CalibrationJob record;
  std::optional<LiveProgress> live;
};

inline bool HasEnded(const CalibrationJob& job) {
  return job.state >= JobState::kSucceeded;
}

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_JOB_VIEW_H_
