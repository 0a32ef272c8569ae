#include "engine/gate/budget_profile.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace seer {
namespace {

double MeanClamped(const std::vector<double>& values, double scale,
                   double floor) {
  double sum = 0;
  for (const double value : values) {
    sum += std::clamp(scale * value, floor, 1.0);
  }
  return sum / static_cast<double>(values.size());
}

absl::Status CheckDensities(const std::vector<float>& densities) {
  if (densities.empty()) {
    return absl::InvalidArgumentError("budget_profile_densities: empty");
  }
  for (size_t p = 0; p < densities.size(); ++p) {
    const bool in_range = densities[p] >= 0 && densities[p] <= 1;
    if (!in_range || (p > 0 && !(densities[p] > densities[p - 1]))) {
      return absl::InvalidArgumentError(
          absl::StrCat("budget_profile_densities[", p, "] = ", densities[p],
                       ": must ascend strictly within [0, 1]"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BudgetProfile> BudgetProfile::Create(
    int32_t num_layers, int32_t num_heads, const std::vector<float>& densities,
    const std::vector<float>& values) {
  if (absl::Status status = CheckDensities(densities); !status.ok()) {
    return status;
  }
  const size_t num_points = densities.size();
  const size_t num_rows = static_cast<size_t>(num_layers) * num_heads;
  if (values.size() != num_rows * num_points) {
    return absl::InvalidArgumentError(
        absl::StrCat("budget_profile: ", values.size(), " values, expected ",
                     num_layers, " x ", num_heads, " x ", num_points));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= 0 && values[i] <= 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("budget_profile, value ", i, " = ", values[i],
                       ": must be within [0, 1]"));
    }
  }
  BudgetProfile profile;
  profile.num_layers_ = num_layers;
  profile.num_heads_ = num_heads;
  const bool add_first = densities.front() > 0;
  const bool add_last = densities.back() < 1;
  if (add_first) profile.densities_.push_back(0);
  profile.densities_.insert(profile.densities_.end(), densities.begin(),
                            densities.end());
  if (add_last) profile.densities_.push_back(1);
  for (size_t row = 0; row < num_rows; ++row) {
    const auto begin = values.begin() + row * num_points;
    if (add_first) profile.values_.push_back(0);
    profile.values_.insert(profile.values_.end(), begin, begin + num_points);
    if (add_last) profile.values_.push_back(1);
  }
  return profile;
}

double BudgetProfile::HeadDensity(int32_t layer, int32_t head,
                                  double density) const {
  const size_t num_points = densities_.size();
  const double* values =
      values_.data() +
      (static_cast<size_t>(layer) * num_heads_ + head) * num_points;
  const size_t above =
      std::upper_bound(densities_.begin(), densities_.end(), density) -
      densities_.begin();
  if (above == 0) return values[0];
  if (above == num_points) return values[num_points - 1];
  const double t = (density - densities_[above - 1]) /
                   (densities_[above] - densities_[above - 1]);
  return values[above - 1] + t * (values[above] - values[above - 1]);
}

HeadDensities SolveHeadDensities(const BudgetProfile& profile, int32_t layer,
                                 double density, double floor) {
  std::vector<double> values(profile.num_heads());
  double smallest = 1;  // of the positive values
  for (int32_t head = 0; head < profile.num_heads(); ++head) {
    values[head] = profile.HeadDensity(layer, head, density);
    if (values[head] > 0) smallest = std::min(smallest, values[head]);
  }
  double low = 0;
  double high = 2 / smallest;  // here every positive value is clamped to 1
  HeadDensities result;
  result.feasible = MeanClamped(values, low, floor) <= density &&
                    MeanClamped(values, high, floor) >= density;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (MeanClamped(values, middle, floor) < density ? low : high) = middle;
  }
  for (double& value : values) value = std::clamp(high * value, floor, 1.0);
  result.densities = std::move(values);
  return result;
}

}  // namespace seer
