// How long micro-steps take on the device.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_MICRO_STEP_TIMER_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_MICRO_STEP_TIMER_H_

#include <array>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/calibration/run/distillation_run.h"
#include "engine/device/device.h"

namespace seer {

// On the thread of the device, which it borrows.
class MicroStepTimer {
 public:
  explicit MicroStepTimer(Device* device) : clock_(device->MakeClock()) {}

  // What one of this kind is believed to take: the longest of late, forgotten
  // slowly. Zero before the first.
  absl::Duration Expected(MicroStepKind kind) const {
    return expected_[static_cast<int>(kind)];
  }

  // Around the call that enqueues one.
  void Begin() { begin_ = clock_->Mark(); }
  void End(MicroStepKind kind, absl::Duration expected) {
    in_flight_.push_back({kind, expected, begin_, clock_->Mark()});
  }

  struct Timed {
    MicroStepKind kind;
    absl::Duration expected;  // as End was told
    absl::Duration actual;
  };
  // Waits until the device is through with those that were enqueued, but not
  // with what came behind them, and gives their times.
  absl::Status Collect(std::vector<Timed>* timed);

 private:
  struct InFlight {
    MicroStepKind kind;
    absl::Duration expected;
    int begin;
    int end;
  };

  std::unique_ptr<DeviceClock> clock_;
  int begin_ = 0;
  std::vector<InFlight> in_flight_;
  std::array<absl::Duration, kNumMicroStepKinds> expected_;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_MICRO_STEP_TIMER_H_
