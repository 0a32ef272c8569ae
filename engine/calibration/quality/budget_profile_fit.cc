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
  double slope = 0.0;  // recall gained by density
};

absl::Status CheckCurves(const RecallCurves& curves) {
  if (curves.num_layers < 1 || curves.num_heads < 1) {
    return absl::InvalidArgumentError("recall curves: no layers or no heads");
  }
  const std::vector<double>& densities = curves.densities;
  for (size_t p = 0; p < densities.size(); ++p) {
    if (!(densities[p] > 0.0 && densities[p] <= 1.0) ||
        (p > 0 && densities[p] < densities[p - 1])) {
      return absl::InvalidArgumentError(
          absl::StrCat("recall curves: density ", p, " = ", densities[p],
                       ": must be in (0, 1] and not fall"));
    }
  }
  if (curves.recall.size() != static_cast<size_t>(curves.num_layers) *
                                  curves.num_heads * densities.size()) {
    return absl::InvalidArgumentError("recall curves: sizes disagree");
  }
  for (const double recall : curves.recall) {
    if (!std::isfinite(recall)) {
      return absl::InvalidArgumentError("recall curves: not finite");
    }
  }
  return absl::OkStatus();
}

// A head's points from (0, 0) to (1, 1), of densities that ascend strictly.
std::vector<RecallPoint> PointsOf(const RecallCurves& curves, int32_t layer,
                                  int32_t head) {
  const size_t num_points = curves.densities.size();
  const size_t row =
      (static_cast<size_t>(layer) * curves.num_heads + head) * num_points;
  std::vector<RecallPoint> points = {{0.0, 0.0}};
  const auto add = [&points](double density, double recall) {
    if (density > points.back().density) points.push_back({density, 0.0});
    points.back().recall = std::max(points.back().recall, recall);
  };
  for (size_t p = 0; p < num_points; ++p) {
    add(curves.densities[p], std::clamp(curves.recall[row + p], 0.0, 1.0));
  }
  add(1.0, 1.0);
  return points;
}

// All pieces of a layer, steepest first.
std::vector<Piece> PiecesOf(const RecallCurves& curves, int32_t layer) {
  std::vector<Piece> pieces;
  for (int32_t head = 0; head < curves.num_heads; ++head) {
    const std::vector<RecallPoint> points = PointsOf(curves, layer, head);
    const std::vector<RecallPoint> corners = UpperEnvelope(points);
    for (size_t i = 1; i < corners.size(); ++i) {
      const double width = corners[i].density - corners[i - 1].density;
      pieces.push_back(
          {head, width, (corners[i].recall - corners[i - 1].recall) / width});
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

std::vector<RecallPoint> UpperEnvelope(const std::vector<RecallPoint>& points) {
  std::vector<RecallPoint> corners;
  for (const RecallPoint& c : points) {
    while (corners.size() >= 2) {
      const RecallPoint& a = corners[corners.size() - 2];
      const RecallPoint& b = corners.back();
      const bool is_above = (b.recall - a.recall) * (c.density - a.density) >
                            (c.recall - a.recall) * (b.density - a.density);
      if (is_above) break;
      corners.pop_back();
    }
    corners.push_back(c);
  }
  return corners;
}

absl::StatusOr<BudgetProfile> FitBudgetProfile(
    const RecallCurves& curves, const std::vector<float>& targets) {
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
