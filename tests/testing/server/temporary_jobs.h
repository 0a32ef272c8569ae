#ifndef SEER_TESTS_TESTING_SERVER_TEMPORARY_JOBS_H_
#define SEER_TESTS_TESTING_SERVER_TEMPORARY_JOBS_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/calibration_jobs/calibration_jobs.h"
#include "server/metrics/calibration_metrics.h"
#include "tests/testing/engine/fakes/fake_calibrator.h"
#include "tests/testing/engine/fakes/fake_engine.h"
#include "tests/testing/engine/fakes/fake_gate_control.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {

// Calibration jobs over a real catalog in a folder of its own and engines that
// pretend. Its calls for tests throw where they fail.
class TemporaryJobs {
 public:
  // Quick ones, that write no checkpoint unless they leave off.
  static JobOptions QuickOptions();

  explicit TemporaryJobs(JobOptions options = QuickOptions(),
                         CatalogOptions catalog = {}, int64_t num_slots = 2);

  CalibrationJobs& operator*() { return *jobs_; }
  CalibrationJobs* operator->() { return jobs_.get(); }
  TemporaryCatalog& catalog() { return catalog_; }
  FakeCalibrator& calibrator() { return calibrator_; }
  FakeGateControl& gates() { return gates_; }
  FakeEngine& engine() { return engine_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const CalibrationMetrics& metrics() const { return metrics_; }

  // While set, scoring requests get no answer.
  std::atomic<bool> is_engine_silent{false};

  // Ends the jobs, without a checkpoint, or with time for one, and the catalog;
  // then begins anew.
  void Restart(absl::Duration time_for_checkpoint = absl::ZeroDuration());
  // Only ends the jobs.
  void StopJobs();
  void StartJobs();

  // A job of 6 steps on a text of some 2000 tokens in sequences of 128.
  CalibrationSpec Spec();
  std::string Create(const CalibrationSpec& spec);
  std::string Create() { return Create(Spec()); }
  // Once the job is like that; fails the test after half a minute.
  JobView WaitUntil(const std::string& id,
                    const std::function<bool(const JobView&)>& condition);
  JobView WaitForState(const std::string& id, JobState state);
  // Pause, and wait for its answer.
  absl::StatusOr<JobView> Pause(const std::string& id);

 private:
  JobOptions options_;
  TemporaryCatalog catalog_;
  const std::unique_ptr<const Tokenizer> tokenizer_;
  FakeEngine engine_;
  FakeGateControl gates_;
  FakeCalibrator calibrator_;
  CalibrationMetrics metrics_;
  std::string dataset_;
  std::unique_ptr<CalibrationJobs> jobs_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_TEMPORARY_JOBS_H_
