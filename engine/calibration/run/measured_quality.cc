#include "engine/calibration/run/measured_quality.h"

#include <algorithm>

#include "engine/calibration/quality/budget_profile_fit.h"

namespace seer {

// Closer together where recall bends.
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
  const size_t num_densities = measured[0].recall.size();
  const size_t num_heads = measured[0].recall[0].head_mass_recall.size();
  RecallCurves curves;
  curves.num_layers = static_cast<int32_t>(measured.size());
  curves.num_heads = static_cast<int32_t>(num_heads);
  // Counts of blocks depend on lengths and budgets alone, so layers and heads
  // realize the same; sums of shares round, but never past 1.
  for (const DensityRecall& recall : measured[0].recall) {
    const double before =
        curves.densities.empty() ? 0.0 : curves.densities.back();
    curves.densities.push_back(
        std::clamp(recall.realized_density, before, 1.0));
  }
  for (const LayerQuality& layer : measured) {
    for (size_t head = 0; head < num_heads; ++head) {
      for (size_t d = 0; d < num_densities; ++d) {
        curves.recall.push_back(layer.recall[d].head_mass_recall[head]);
      }
    }
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
