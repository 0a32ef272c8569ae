// The budget profile that a gate set is shipped with. No torch.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_BUDGET_PROFILE_FIT_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_BUDGET_PROFILE_FIT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/gate/budget_profile.h"

namespace seer {

// What each head gains when it reads some densities, as UtilityMetrics has it
// on the data that the gate was trained on. Absolute numbers: a head weighs by
// what it writes. The densities are realized ones, since a profile says what
// heads read: forced blocks alone may be more than a small budget, and then
// several budgets realize one density.
struct UtilityCurves {
  int32_t num_layers = 0;
  int32_t num_heads = 0;          // Hq
  std::vector<double> densities;  // [points], in (0, 1], never falling
  std::vector<double> utility;    // [num_layers, num_heads, points], finite
  // [num_layers, num_heads], finite, >= 0: at density 1. Layers need no common
  // scale.
  std::vector<double> full;
};

// For each layer and each of `targets` (strictly ascending in [0, 1]), the
// densities of its heads whose mean is the target and whose utilities, each
// read from the upper concave envelope of the head's curve with (0, 0) and (1,
// full), have the largest sum. The envelopes' pieces are taken in order of
// slope until the target is reached (water-filling); pieces of equal slope,
// such as those of heads that are alike, in proportion to their width. So a
// head's density never falls as the target rises. Utility outside 0..full is
// taken for the nearer end. Of points of equal density the one of most utility
// is kept. INVALID_ARGUMENT: sizes or ranges are not as above.
absl::StatusOr<BudgetProfile> FitBudgetProfile(
    const UtilityCurves& curves, const std::vector<float>& targets);

// A point of a curve.
struct UtilityPoint {
  double density = 0.0;
  double utility = 0.0;
};

// The corners of the upper concave envelope of points of ascending density.
std::vector<UtilityPoint> UpperEnvelope(
    const std::vector<UtilityPoint>& points);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_BUDGET_PROFILE_FIT_H_
