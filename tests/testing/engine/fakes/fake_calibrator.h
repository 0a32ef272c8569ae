#ifndef SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_CALIBRATOR_H_
#define SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_CALIBRATOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/calibrator.h"

namespace seer {

// Trains nothing, but as the contract says: what comes out is a digest of the
// options and of the tokens of every step, the same however often a run went on
// from a checkpoint, and another where one was left out. Each optimizer step is
// a tick; profiling and evaluating are one each after them.
//
//   FakeCalibrator calibrator({});
//   calibrator.AllowTicks(3);  // and there every run waits
//
// Thread-safe; must outlive its runs.
class FakeCalibrator final : public Calibrator {
 public:
  struct Options {
    std::string fingerprint = std::string(64, '0');  // of its files
    int64_t num_layers = 4;
    // What Start answers; OK: a run.
    absl::Status start_error;
    // After how many ticks a run ends with `run_error`; unset: never.
    std::optional<int64_t> error_at;
    absl::Status run_error;
    bool gives_checkpoints = true;
  };

  FakeCalibrator() = default;

  void Set(Options options);
  // Of every run, counted from step 0. At first there is no limit.
  void AllowTicks(int64_t ticks);
  // Waits until a run stands at that many ticks. False after half a minute.
  bool WaitForTicks(int64_t ticks) const;

  absl::StatusOr<std::unique_ptr<CalibrationRun>> Start(
      const CalibrationOptions& options,
      std::shared_ptr<const TokenSequences> sequences,
      const std::string& checkpoint) override;

  // Of every call of Start that gave a run: the ticks it began at.
  std::vector<int64_t> starts() const;
  // Of the last one.
  CalibrationOptions last_options() const;

 private:
  class Run;

  mutable Mutex mutex_;
  mutable CondVar changed_;
  Options options_ ABSL_GUARDED_BY(mutex_);
  int64_t allowed_ ABSL_GUARDED_BY(mutex_) = INT64_MAX;
  int64_t ticks_ ABSL_GUARDED_BY(mutex_) = 0;  // of the run under way
  bool is_busy_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<int64_t> starts_ ABSL_GUARDED_BY(mutex_);
  CalibrationOptions last_options_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_CALIBRATOR_H_
