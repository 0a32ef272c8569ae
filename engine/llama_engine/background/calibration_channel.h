// Where a calibration on the engine's thread meets whoever started it.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_CHANNEL_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_CHANNEL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/calibration/files/run_checkpoint.h"
#include "engine/calibration/run/distillation_run.h"
#include "engine/calibrator.h"

namespace seer {

// Holds at most one checkpoint, the newest, and the end. What is large is put
// into bytes by the reader's thread. Thread-safe; shared by both ends.
class CalibrationChannel {
 public:
  // `identity`: RunIdentity's. `wake` makes the engine's thread look.
  CalibrationChannel(std::string identity, CalibrationStatus status,
                     std::function<void()> wake);

  // The engine's side.
  void SetStatus(CalibrationStatus status);
  // Whether one was asked for since the last call.
  bool TakeCheckpointRequest();
  void PushCheckpoint(std::unique_ptr<RunState> state);
  // The end, once; `status` is not OK.
  void PushResult(DistillationResult result);
  void PushError(absl::Status status);
  // Whether the reader is gone, or has its end to come: nothing more is wanted.
  bool is_over() const;
  bool is_abandoned() const;

  // The reader's side: as CalibrationRun's. Abandon frees what has come, and
  // nothing comes any more.
  CalibrationStatus status() const;
  void RequestCheckpoint();
  std::optional<CalibrationEvent> Next(absl::Time deadline);
  void Abandon();

 private:
  // What comes next as it is, the lock held; waits for it.
  struct Waiting {
    std::unique_ptr<RunState> checkpoint;
    std::optional<DistillationResult> result;
    absl::Status error;
    CalibrationStatus status;
  };
  std::optional<Waiting> Take(absl::Time deadline);

  const std::string identity_;
  const std::function<void()> wake_;

  mutable Mutex mutex_;
  CondVar changed_;
  CalibrationStatus status_ ABSL_GUARDED_BY(mutex_);
  bool wants_checkpoint_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<RunState> checkpoint_ ABSL_GUARDED_BY(mutex_);
  CalibrationStatus checkpoint_status_ ABSL_GUARDED_BY(mutex_);
  std::optional<DistillationResult> result_ ABSL_GUARDED_BY(mutex_);
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

// The reader's end. Destroying it abandons the run.
std::unique_ptr<CalibrationRun> MakeCalibrationRun(
    std::shared_ptr<CalibrationChannel> channel);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_CHANNEL_H_
