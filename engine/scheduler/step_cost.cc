#include "engine/scheduler/step_cost.h"

#include <algorithm>

namespace seer {
namespace {

// What a step counts beside the one after it: about twenty are remembered.
constexpr double kDecay = 0.95;
// How strongly factors stay where they are, beside the weight of one step.
constexpr double kInertia = 1e-3;
// Enough for six factors to settle: they start from the last solution.
constexpr int kSweeps = 30;

}  // namespace

StepCostModel::StepCostModel(const StepCosts& costs)
    : believed_({absl::ToDoubleSeconds(costs.step),
                 absl::ToDoubleSeconds(costs.prompt_token),
                 absl::ToDoubleSeconds(costs.prompt_block),
                 absl::ToDoubleSeconds(costs.scored_token),
                 absl::ToDoubleSeconds(costs.decode_row),
                 absl::ToDoubleSeconds(costs.decode_block)}) {
  factors_.fill(1.0);
}

StepCostModel::Parts StepCostModel::Scale(const StepWork& work) const {
  return {believed_[0],
          believed_[1] * work.prompt_tokens,
          believed_[2] * work.prompt_blocks,
          believed_[3] * work.scored_tokens,
          believed_[4] * work.decode_rows,
          believed_[5] * work.decode_blocks};
}

double StepCostModel::Predict(const Parts& parts) const {
  double seconds = 0.0;
  for (int i = 0; i < kNumParts; ++i) seconds += factors_[i] * parts[i];
  return seconds;
}

absl::Duration StepCostModel::Predict(const StepWork& work) const {
  return absl::Seconds(Predict(Scale(work)));
}

void StepCostModel::Record(const StepWork& work, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds <= 0.0) return;
  // Divided by the time it took, a step's equation counts relative errors.
  Parts parts = Scale(work);
  for (double& part : parts) part /= seconds;
  for (int i = 0; i < kNumParts; ++i) {
    for (int j = 0; j < kNumParts; ++j) {
      matrix_[i][j] = kDecay * matrix_[i][j] + parts[i] * parts[j];
    }
    vector_[i] = kDecay * vector_[i] + parts[i];
  }
  Solve();
}

void StepCostModel::Solve() {
  const Parts before = factors_;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (int i = 0; i < kNumParts; ++i) {
      double rest = vector_[i] + kInertia * before[i];
      for (int j = 0; j < kNumParts; ++j) {
        if (j != i) rest -= matrix_[i][j] * factors_[j];
      }
      factors_[i] = std::max(0.0, rest / (matrix_[i][i] + kInertia));
    }
  }
}

}  // namespace seer
