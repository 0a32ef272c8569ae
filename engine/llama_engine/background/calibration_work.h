// A calibration as the engine's thread runs it, between steps.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_WORK_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_WORK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/calibration/files/run_checkpoint.h"
#include "engine/calibration/run/distillation_run.h"
#include "engine/calibration/run/distillation_setup.h"
#include "engine/calibrator.h"
#include "engine/device/device.h"
#include "engine/engine.h"
#include "engine/llama_engine/background/background_share.h"
#include "engine/llama_engine/background/calibration_channel.h"
#include "engine/llama_engine/background/calibration_pace.h"
#include "engine/llama_engine/background/micro_step_timer.h"
#include "engine/llama_engine/background/paged_layer_source.h"

namespace seer {

// What is asked for; checked.
struct CalibrationOrder {
  CalibrationOptions options;
  std::shared_ptr<const TokenSequences> sequences;
  std::optional<RunState> resumed;
  std::shared_ptr<CalibrationChannel> channel;
};

// One run at a time. Offer is thread-safe; the rest is for the engine's thread.
//
// Where no request has work, a round is one micro-step. Else it is what the
// run's share of the device lets be, at the end of a round of the loop: on a
// GPU it is enqueued behind the step that was launched last, and no more before
// the device is through with it.
class CalibrationWork {
 public:
  // All borrowed.
  struct Parts {
    Device* device = nullptr;
    PagedLayerSource::Parts source;
    std::string fingerprint;  // of the base model
    int64_t step_bytes = 0;   // of the device's memory, for steps
    // Of a round beside requests, but for one micro-step that is longer: this
    // long nobody looks who has come or gone.
    absl::Duration round_time = absl::InfiniteDuration();
    EngineObserver* observer = nullptr;  // may be null
  };
  explicit CalibrationWork(const Parts& parts);
  ~CalibrationWork();

  // FAILED_PRECONDITION, BUSY: a run is under way. What End was told to.
  absl::Status Offer(CalibrationOrder order);

  // A step of requests took so long of the device.
  void RecordStep(absl::Duration duration);

  // Does what may be done now. `has_computed`: requests had a step in this
  // round of the loop. `look_at`: when the next round is wanted though no
  // request wants one. An error is the device's: it is of no more use.
  absl::Status RunRound(bool has_computed, absl::Time* look_at);

  // Of the device's time, what the run under way may have beside requests; 0:
  // there is none.
  double share() const { return run_ == nullptr ? 0.0 : run_->share.share(); }
  // The device's time that micro-steps beside requests have taken, and were
  // seen to, since the last call.
  absl::Duration TakeTimeBesideRequests() {
    return std::exchange(time_beside_, absl::ZeroDuration());
  }

  // Ends the run under way, which frees what it holds. False: there is none.
  bool EndRun(const absl::Status& status);
  // And refuses others from now on.
  void End(const absl::Status& status);

 private:
  struct Run {
    std::shared_ptr<CalibrationChannel> channel;
    std::unique_ptr<DistillationRun> distillation;
    BackgroundShare share;
    CalibrationPace pace;
    int64_t work_done = 0;
    bool waits_for_memory = false;
  };

  // Takes what was offered, and drops a run that nobody waits for. While there
  // is none, books what an earlier one has still enqueued.
  absl::Status TakeOrders();
  absl::Status Begin(CalibrationOrder order);
  // RESOURCE_EXHAUSTED, OUT_OF_MEMORY: steps would not find theirs any more.
  absl::Status CheckMemory(const DistillationSetup& setup) const;
  // The first in line can start with the run's pages and not without.
  bool IsWaitedFor() const;
  absl::Status RunAlone(absl::Time* look_at);
  absl::Status RunBesideRequests();
  // The next micro-step, which may be the last or fail: then there is no run
  // any more.
  absl::Status RunMicroStep(absl::Duration expected, bool beside_requests);
  absl::Status Book(
      const absl::StatusOr<std::vector<MicroStepTimer::Timed>>& timed);
  void ReportStatus();

  const Parts parts_;
  PagedLayerSource source_;
  MicroStepTimer timer_;
  std::unique_ptr<Run> run_;  // null: none
  absl::Duration time_beside_;

  Mutex mutex_;
  // Of the run that was offered last.
  std::shared_ptr<CalibrationChannel> newest_ ABSL_GUARDED_BY(mutex_);
  std::optional<CalibrationOrder> offered_ ABSL_GUARDED_BY(mutex_);
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_WORK_H_
