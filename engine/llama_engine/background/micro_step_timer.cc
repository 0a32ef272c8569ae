#include "engine/llama_engine/background/micro_step_timer.h"

#include <algorithm>

#include "base/status_macros.h"

namespace seer {

void MicroStepTimer::Begin() {
  Batch& batch = batches_[current_];
  // Points of what was begun and came to nothing.
  if (batch.steps.empty()) batch.clock->Reset();
  begin_ = batch.clock->Mark();
}

void MicroStepTimer::End(const Timed& step) {
  Batch& batch = batches_[current_];
  batch.steps.push_back({step, begin_, batch.clock->Mark()});
}

void MicroStepTimer::Doubt(MicroStepKind kind) {
  absl::Duration& expected = expected_[static_cast<int>(kind)];
  expected -= expected / 64;
}

absl::Status MicroStepTimer::Collect(Batch& batch, std::vector<Timed>* timed) {
  if (batch.steps.empty()) return absl::OkStatus();
  SEER_RETURN_IF_ERROR(batch.clock->Wait());
  for (const InFlight& in_flight : batch.steps) {
    Timed step = in_flight.step;
    step.actual =
        std::max(absl::ZeroDuration(),
                 batch.clock->Between(in_flight.begin, in_flight.end));
    absl::Duration& expected = expected_[static_cast<int>(step.kind)];
    expected = std::max(step.actual, expected - (expected - step.actual) / 16);
    timed->push_back(step);
  }
  batch.steps.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<MicroStepTimer::Timed>> MicroStepTimer::Collect() {
  std::vector<Timed> timed;
  SEER_RETURN_IF_ERROR(Collect(batches_[1 - current_], &timed));
  SEER_RETURN_IF_ERROR(Collect(batches_[current_], &timed));
  return timed;
}

absl::StatusOr<std::vector<MicroStepTimer::Timed>>
MicroStepTimer::CollectEarlier() {
  std::vector<Timed> timed;
  SEER_RETURN_IF_ERROR(Collect(batches_[1 - current_], &timed));
  current_ = 1 - current_;
  return timed;
}

}  // namespace seer
