#ifndef SEER_SERVER_METRICS_CALIBRATION_METRICS_H_
#define SEER_SERVER_METRICS_CALIBRATION_METRICS_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace seer {

// `state` of a calibration job.
enum class JobStateLabel {
  kQueued,
  kRunning,
  kPaused,
  kSucceeded,
  kFailed,
  kCancelled,
};
inline constexpr int kNumJobStateLabels = 6;

// `result` of a calibration job that ended.
enum class JobResultLabel { kSucceeded, kFailed, kCancelled };
inline constexpr int kNumJobResultLabels = 3;

// Of the calibration jobs. All series are built by the constructor.
// Thread-safe.
class CalibrationMetrics {
 public:
  // `model` is the label of that name on every metric.
  explicit CalibrationMetrics(const std::string& model);

  // Jobs that the catalog has, by state.
  void SetJobs(const std::array<int64_t, kNumJobStateLabels>& counts);

  // Of the job that runs: the means of its layers' losses, and the share of its
  // steps that are done, [0, 1].
  void SetProgress(double training_loss, double validation_loss, double ratio);
  // None runs: all of that is 0.
  void ClearProgress() { SetProgress(0, 0, 0); }

  // A job ended so long after it first ran.
  void ObserveEnd(JobResultLabel result, absl::Duration duration);

  // For the text format.
  const prometheus::Registry& registry() const { return registry_; }

 private:
  prometheus::Registry registry_;
  std::array<prometheus::Gauge*, kNumJobStateLabels> jobs_;
  prometheus::Gauge* training_loss_;
  prometheus::Gauge* validation_loss_;
  prometheus::Gauge* progress_;
  std::array<prometheus::Histogram*, kNumJobResultLabels> duration_;
};

}  // namespace seer

#endif  // SEER_SERVER_METRICS_CALIBRATION_METRICS_H_
