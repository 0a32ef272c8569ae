#include "engine/calibration/quality/budget_profile_fit.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {
namespace {

// A straight piece of one head's envelope.
struct Piece {
  int32_t head = 0;
  double width = 0.0;  // of density
  double slope = 0.0;  // utility gained by density
};

absl::Status CheckCurves(const UtilityCurves& curves) {
  if (curves.num_layers < 1 || curves.num_heads < 1) {
    return absl::InvalidArgumentError("utility curves: no layers or no heads");
  }
  const std::vector<double>& densities = curves.densities;
  for (size_t p = 0; p < densities.size(); ++p) {
    if (!(densities[p] > 0.0 && densities[p] <= 1.0) ||
        (p > 0 && densities[p] < densities[p - 1])) {
      return absl::InvalidArgumentError(
          absl::StrCat("utility curves: density ", p, " = ", densities[p],
                       ": must be in (0, 1] and not fall"));
    }
  }
  const size_t num_rows =
      static_cast<size_t>(curves.num_layers) * curves.num_heads;
  if (curves.full.size() != num_rows ||
      curves.utility.size() != num_rows * densities.size()) {
    return absl::InvalidArgumentError("utility curves: sizes disagree");
  }
  const bool is_finite =
      std::all_of(curves.utility.begin(), curves.utility.end(),
                  [](double utility) { return std::isfinite(utility); }) &&
      std::all_of(curves.full.begin(), curves.full.end(), [](double full) {
        return std::isfinite(full) && full >= 0.0;
      });
  if (!is_finite) {
    return absl::InvalidArgumentError(
        "utility curves: not finite, or a negative end");
  }
  return absl::OkStatus();
}

// A head's points from (0, 0) to (1, full), of densities that ascend strictly.
std::vector<UtilityPoint> PointsOf(const UtilityCurves& curves, int32_t layer,
                                   int32_t head) {
  const size_t num_points = curves.densities.size();
  const size_t row = static_cast<size_t>(layer) * curves.num_heads + head;
  const double full = curves.full[row];
  std::vector<UtilityPoint> points = {{0.0, 0.0}};
  const auto add = [&points](double density, double utility) {
    if (density > points.back().density) points.push_back({density, 0.0});
    points.back().utility = std::max(points.back().utility, utility);
  };
  for (size_t p = 0; p < num_points; ++p) {
    add(curves.densities[p],
        std::clamp(curves.utility[row * num_points + p], 0.0, full));
  }
  add(1.0, full);
  return points;
}

// All pieces of a layer, steepest first.
std::vector<Piece> PiecesOf(const UtilityCurves& curves, int32_t layer) {
  std::vector<Piece> pieces;
  for (int32_t head = 0; head < curves.num_heads; ++head) {
    const std::vector<UtilityPoint> points = PointsOf(curves, layer, head);
    const std::vector<UtilityPoint> corners = UpperEnvelope(points);
    for (size_t i = 1; i < corners.size(); ++i) {
      const double width = corners[i].density - corners[i - 1].density;
      pieces.push_back(
          {head, width, (corners[i].utility - corners[i - 1].utility) / width});
    }
  }
  std::stable_sort(
      pieces.begin(), pieces.end(),
      [](const Piece& a, const Piece& b) { return a.slope > b.slope; });
  return pieces;
}

// The densities of the heads, whose sum is `total`.
std::vector<double> Fill(const std::vector<Piece>& pieces, int32_t num_heads,
                         double total) {
  std::vector<double> densities(num_heads);
  for (size_t begin = 0, end = 0; begin < pieces.size() && total > 0.0;
       begin = end) {
    double width = 0.0;
    for (end = begin;
         end < pieces.size() && pieces[end].slope == pieces[begin].slope;
         ++end) {
      width += pieces[end].width;
    }
    const double share = std::min(1.0, total / width);
    for (size_t i = begin; i < end; ++i) {
      densities[pieces[i].head] += share * pieces[i].width;
    }
    total -= width;
  }
  return densities;
}

}  // namespace

std::vector<UtilityPoint> UpperEnvelope(
    const std::vector<UtilityPoint>& points) {
  std::vector<UtilityPoint> corners;
  for (const UtilityPoint& c : points) {
    while (corners.size() >= 2) {
      const UtilityPoint& a = corners[corners.size() - 2];
      const UtilityPoint& b = corners.back();
      const bool is_above = (b.utility - a.utility) * (c.density - a.density) >
                            (c.utility - a.utility) * (b.density - a.density);
      if (is_above) break;
      corners.pop_back();
    }
    corners.push_back(c);
  }
  return corners;
}

absl::StatusOr<BudgetProfile> FitBudgetProfile(
    const UtilityCurves& curves, const std::vector<float>& targets) {
  SEER_RETURN_IF_ERROR(CheckCurves(curves));
  const size_t num_targets = targets.size();
  std::vector<float> values(static_cast<size_t>(curves.num_layers) *
                            curves.num_heads * num_targets);
  for (int32_t layer = 0; layer < curves.num_layers; ++layer) {
    const std::vector<Piece> pieces = PiecesOf(curves, layer);
    for (size_t p = 0; p < num_targets; ++p) {
      const std::vector<double> densities =
          Fill(pieces, curves.num_heads,
               static_cast<double>(targets[p]) * curves.num_heads);
      for (int32_t head = 0; head < curves.num_heads; ++head) {
        const size_t row = static_cast<size_t>(layer) * curves.num_heads + head;
        // A sum of widths may be 1 but for rounding.
        values[row * num_targets + p] =
            static_cast<float>(std::min(1.0, densities[head]));
      }
    }
  }
  return BudgetProfile::Create(curves.num_layers, curves.num_heads, targets,
                               values);
}

}  // namespace seer
