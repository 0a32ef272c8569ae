// What follows from measurements. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_MEASURED_QUALITY_H_
#define SEER_ENGINE_CALIBRATION_RUN_MEASURED_QUALITY_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/calibration/quality/layer_evaluation.h"
#include "engine/calibrator.h"
#include "engine/gate/budget_profile.h"

namespace seer {

// Densities at which utility is measured for a profile, and recall for a
// report.
std::vector<double> ProfilingDensities();
std::vector<double> ReportedDensities();  // 0.5, 0.2, 0.1

// Densities at which a profile says what heads read.
std::vector<float> ProfileTargets();

// Of utilities [layers] measured at ProfilingDensities.
absl::StatusOr<BudgetProfile> FitProfile(
    const std::vector<LayerQuality>& measured);

// Of recalls [layers] measured at ReportedDensities.
CalibrationQuality ToReport(const std::vector<LayerQuality>& measured,
                            int64_t num_tokens);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_MEASURED_QUALITY_H_
