#include "server/metrics/calibration_metrics.h"

#include "server/metrics/buckets.h"

namespace seer {
namespace {

constexpr const char* kStateNames[] = {"queued",    "running", "paused",
                                       "succeeded", "failed",  "cancelled"};
constexpr const char* kResultNames[] = {"succeeded", "failed", "cancelled"};

}  // namespace

CalibrationMetrics::CalibrationMetrics(const std::string& model) {
  const prometheus::Labels labels = {{"model", model}};
  auto gauge = [&](const char* name, const char* help) -> auto& {
    return prometheus::BuildGauge()
        .Name(name)
        .Help(help)
        .Labels(labels)
        .Register(registry_);
  };
  auto& jobs = gauge("seer_calibration_jobs", "Calibration jobs by state.");
  for (int i = 0; i < kNumJobStateLabels; ++i) {
    jobs_[i] = &jobs.Add({{"state", kStateNames[i]}});
  }
  auto& loss = gauge("seer_calibration_loss",
                     "Of the job that runs: mean of its layers' losses.");
  training_loss_ = &loss.Add({{"split", "training"}});
  validation_loss_ = &loss.Add({{"split", "validation"}});
  progress_ = &gauge("seer_calibration_progress_ratio",
                     "Of the job that runs: share of its steps that are done.")
                   .Add({});
  auto& duration = prometheus::BuildHistogram()
                       .Name("seer_calibration_job_duration_seconds")
                       .Help("From a job's first start to its end.")
                       .Labels(labels)
                       .Register(registry_);
  for (int i = 0; i < kNumJobResultLabels; ++i) {
    duration_[i] =
        &duration.Add({{"result", kResultNames[i]}}, Doubling(1, 20));
  }
}

void CalibrationMetrics::SetJobs(
    const std::array<int64_t, kNumJobStateLabels>& counts) {
  for (int i = 0; i < kNumJobStateLabels; ++i) {
    jobs_[i]->Set(static_cast<double>(counts[i]));
  }
}

void CalibrationMetrics::SetProgress(double training_loss,
                                     double validation_loss, double ratio) {
  training_loss_->Set(training_loss);
  validation_loss_->Set(validation_loss);
  progress_->Set(ratio);
}

void CalibrationMetrics::ObserveEnd(JobResultLabel result,
                                    absl::Duration duration) {
  duration_[static_cast<int>(result)]->Observe(absl::ToDoubleSeconds(duration));
}

}  // namespace seer
