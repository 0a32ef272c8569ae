#include "engine/llama_engine/background/micro_step_timer.h"

#include <algorithm>

#include "base/status_macros.h"

namespace seer {

absl::Status MicroStepTimer::Collect(std::vector<Timed>* timed) {
  timed->clear();
  if (in_flight_.empty()) return absl::OkStatus();
  SEER_RETURN_IF_ERROR(clock_->Wait());
  for (const InFlight& step : in_flight_) {
    const absl::Duration actual = clock_->Between(step.begin, step.end);
    absl::Duration& expected = expected_[static_cast<int>(step.kind)];
    expected = std::max(actual, expected - (expected - actual) / 16);
    timed->push_back({step.kind, step.expected, actual});
  }
  in_flight_.clear();
  clock_->Reset();
  return absl::OkStatus();
}

}  // namespace seer
