// Predicts how long a step takes, from what it computes; learns from the steps
// that ran.
#ifndef SEER_ENGINE_SCHEDULER_STEP_COST_H_
#define SEER_ENGINE_SCHEDULER_STEP_COST_H_

#include <array>

#include "absl/time/time.h"
#include "engine/scheduler/step_plan.h"

namespace seer {

// What each part of a step is believed to take before any has been seen; all
// positive. Only what they are to each other lasts: the first steps correct
// the rest.
struct StepCosts {
  absl::Duration step = absl::Milliseconds(1);
  absl::Duration prompt_token = absl::Microseconds(500);
  absl::Duration prompt_block = absl::Microseconds(50);
  absl::Duration scored_token = absl::Microseconds(500);  // beside the former
  absl::Duration decode_row = absl::Milliseconds(2);
  absl::Duration decode_block = absl::Microseconds(5);
};

// A step's time as a sum of its parts, each at a cost of its own that is never
// negative. The costs are those that explain recent steps best, by the square
// of the relative error, a step counting less the older it is; a part that
// recent steps say nothing of keeps its cost. Not thread-safe.
class StepCostModel {
 public:
  explicit StepCostModel(const StepCosts& costs = StepCosts());

  absl::Duration Predict(const StepWork& work) const;

  // A step of `work` took `duration` > 0; others are passed over.
  void Record(const StepWork& work, absl::Duration duration);

 private:
  static constexpr int kNumParts = 6;
  using Parts = std::array<double, kNumParts>;

  // Seconds of each part, by the costs believed at first.
  Parts Scale(const StepWork& work) const;
  double Predict(const Parts& parts) const;
  // Moves factors_ to where the squares are least, with none below 0.
  void Solve();

  const Parts believed_;  // seconds
  Parts factors_;         // of the believed costs
  // The weighted normal equations of recent steps.
  std::array<Parts, kNumParts> matrix_ = {};
  Parts vector_ = {};
};

}  // namespace seer

#endif  // SEER_ENGINE_SCHEDULER_STEP_COST_H_
