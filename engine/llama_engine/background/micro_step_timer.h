// How long micro-steps take on the device.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_MICRO_STEP_TIMER_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_MICRO_STEP_TIMER_H_

#include <array>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/calibration/run/micro_step_kind.h"
#include "engine/device/device.h"

namespace seer {

// On the thread of the device, which it borrows.
class MicroStepTimer {
 public:
  explicit MicroStepTimer(Device* device)
      : batches_{Batch{device->MakeClock(), {}},
                 Batch{device->MakeClock(), {}}} {}

  // What one of this kind is believed to take: the longest of late, forgotten
  // slowly. Zero before the first.
  absl::Duration Expected(MicroStepKind kind) const {
    return expected_[static_cast<int>(kind)];
  }
  // One of this kind had to wait, for it is believed to take so long: that is
  // forgotten too while none is run, or one that was held up once, as by a host
  // that had other things to do, could be the last for long.
  void Doubt(MicroStepKind kind);
  // What is known of all kinds was another run's.
  void Forget() { expected_.fill(absl::ZeroDuration()); }

  struct Timed {
    MicroStepKind kind = MicroStepKind::kTrainingSpan;
    absl::Duration expected;       // as it was booked
    bool beside_requests = false;  // whether these had work meanwhile
    absl::Duration actual;         // >= 0
  };

  // Around the call that enqueues one. `step`: all but its actual time.
  void Begin();
  void End(const Timed& step);

  // Wait until the device is through with what was enqueued, but not with what
  // came behind it, and give the times: of all of them, or of those that were
  // enqueued before the last call of either.
  absl::StatusOr<std::vector<Timed>> Collect();
  absl::StatusOr<std::vector<Timed>> CollectEarlier();

 private:
  struct InFlight {
    Timed step;
    int begin = 0;
    int end = 0;
  };
  struct Batch {
    std::unique_ptr<DeviceClock> clock;
    std::vector<InFlight> steps;
  };

  absl::Status Collect(Batch& batch, std::vector<Timed>* timed);

  std::array<Batch, 2> batches_;
  int current_ = 0;  // that micro-steps are enqueued in
  int begin_ = 0;
  std::array<absl::Duration, kNumMicroStepKinds> expected_;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_MICRO_STEP_TIMER_H_
