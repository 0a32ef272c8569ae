// The budget profile that a gate set is shipped with. No torch.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_BUDGET_PROFILE_FIT_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_BUDGET_PROFILE_FIT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/gate/budget_profile.h"

namespace seer {

// Each head's mass recall when it reads some densities: of RecallMetrics, on
// the data that the gate was trained on. The densities are realized ones, since
// a profile says what heads read: forced blocks alone may be more than a small
// budget, and then several budgets realize one density.
struct RecallCurves {
  int32_t num_layers = 0;
  int32_t num_heads = 0;          // Hq
  std::vector<double> densities;  // [points], in (0, 1], never falling
  std::vector<double> recall;     // [num_layers, num_heads, points], finite
};

// For each layer and each of `targets` (strictly ascending in [0, 1]), the
// densities of its heads whose mean is the target and whose recalls, each read
// from the upper concave envelope of the head's curve with (0, 0) and (1, 1),
// have the largest sum. The envelopes' pieces are taken in order of slope until
// the target is reached (water-filling); pieces of equal slope, such as those
// of heads that are alike, in proportion to their width. So a head's density
// never falls as the target rises. Recall outside 0..1 is taken for the nearer
// end. Of points of equal density the one of most recall is kept; at density 1
// that is (1, 1).
// INVALID_ARGUMENT: sizes or ranges are not as above.
absl::StatusOr<BudgetProfile> FitBudgetProfile(
    const RecallCurves& curves, const std::vector<float>& targets);

// A point of a curve.
struct RecallPoint {
  double density = 0.0;
  double recall = 0.0;
};

// The corners of the upper concave envelope of points of ascending density.
std::vector<RecallPoint> UpperEnvelope(const std::vector<RecallPoint>& points);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_BUDGET_PROFILE_FIT_H_
