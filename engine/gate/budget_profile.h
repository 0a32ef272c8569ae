// How a layer's density is spread over its heads.
#ifndef SEER_ENGINE_GATE_BUDGET_PROFILE_H_
#define SEER_ENGINE_GATE_BUDGET_PROFILE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace seer {

// Each head's density at some target densities, linear in between, with (0, 0)
// and (1, 1) at the ends. Fitted at calibration; part of a gate set.
class BudgetProfile {
 public:
  // `densities` [P], P >= 1, strictly ascending in [0, 1]; `values`
  // [num_layers, num_heads, P], each in [0, 1].
  // INVALID_ARGUMENT names the offending field and index.
  static absl::StatusOr<BudgetProfile> Create(
      int32_t num_layers, int32_t num_heads,
      const std::vector<float>& densities, const std::vector<float>& values);

  int32_t num_layers() const { return num_layers_; }
  int32_t num_heads() const { return num_heads_; }

  // The density of (layer, head) at target `density` in [0, 1].
  double HeadDensity(int32_t layer, int32_t head, double density) const;

 private:
  BudgetProfile() = default;

  int32_t num_layers_ = 0;
  int32_t num_heads_ = 0;
  std::vector<double> densities_;  // [P'] from 0 to 1, ends added
  std::vector<double> values_;     // [num_layers, num_heads, P']
};

struct HeadDensities {
  std::vector<double> densities;  // [num_heads], each in [floor, 1]
  // False when no scale reaches the target: the closest one was taken.
  bool feasible = true;
};

// Solves for the scale c at which the mean over the layer's heads of
// clamp(c * HeadDensity(density), floor, 1) is `density`, by 60 bisections in
// double. `floor` in (0, 1] is what forced and dense rows alone impose.
HeadDensities SolveHeadDensities(const BudgetProfile& profile, int32_t layer,
                                 double density, double floor);

}  // namespace seer

#endif  // SEER_ENGINE_GATE_BUDGET_PROFILE_H_
