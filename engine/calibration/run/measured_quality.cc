#include "engine/calibration/run/measured_quality.h"

#include <algorithm>

#include "engine/calibration/quality/budget_profile_fit.h"

namespace seer {

// Closer together where utility bends.
std::vector<double> ProfilingDensities() {
  return {0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8};
}

std::vector<double> ReportedDensities() { return {0.5, 0.2, 0.1}; }

std::vector<float> ProfileTargets() {
  return {0.05f, 0.1f, 0.15f, 0.2f, 0.25f, 0.3f,
          0.4f,  0.5f, 0.6f,  0.7f, 0.8f,  0.9f};
}

absl::StatusOr<BudgetProfile> FitProfile(
    const std::vector<LayerQuality>& measured) {
  UtilityCurves curves;
  curves.num_layers = static_cast<int32_t>(measured.size());
  curves.num_heads = static_cast<int32_t>(measured[0].utility.full.size());
  // Counts of blocks depend on lengths and budgets alone, so layers realize the
  // same; sums of shares round, but never past 1.
  for (const double density : measured[0].utility.realized_densities) {
    const double before =
        curves.densities.empty() ? 0.0 : curves.densities.back();
    curves.densities.push_back(std::clamp(density, before, 1.0));
  }
  for (const LayerQuality& layer : measured) {
    const HeadUtilities& heads = layer.utility;
    curves.utility.insert(curves.utility.end(), heads.utility.begin(),
                          heads.utility.end());
    curves.full.insert(curves.full.end(), heads.full.begin(), heads.full.end());
  }
  return FitBudgetProfile(curves, ProfileTargets());
}

CalibrationQuality ToReport(const std::vector<LayerQuality>& measured,
                            int64_t num_tokens) {
  CalibrationQuality quality;
  quality.num_tokens = num_tokens;
  for (const LayerQuality& layer : measured) {
    CalibrationQuality::Layer reported;
    reported.loss = layer.loss;
    for (const DensityRecall& recall : layer.recall) {
      reported.recalls.push_back({recall.density, recall.realized_density,
                                  recall.mass_recall, recall.oracle_mass_recall,
                                  recall.block_recall});
    }
    quality.layers.push_back(std::move(reported));
  }
  return quality;
}

}  // namespace seer
