#include "engine/calibration/quality/budget_profile_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int32_t kLayers = 3;
constexpr int32_t kHeads = 7;
const std::vector<double> kDensities = {0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9};
const std::vector<float> kTargets = {0.1f, 0.2f, 0.3f, 0.5f, 0.8f};

// Rising curves, some of them not concave, as measured ones may be.
UtilityCurves RandomCurves(uint64_t seed) {
  UtilityCurves curves;
  curves.num_layers = kLayers;
  curves.num_heads = kHeads;
  curves.densities = kDensities;
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  for (int row = 0; row < kLayers * kHeads; ++row) {
    std::vector<double> values(kDensities.size());
    const double full = std::exp(4.0 * uniform(random));
    for (double& value : values) value = full * uniform(random);
    std::sort(values.begin(), values.end());
    curves.full.push_back(full);
    curves.utility.insert(curves.utility.end(), values.begin(), values.end());
  }
  return curves;
}

BudgetProfile Fit(const UtilityCurves& curves,
                  const std::vector<float>& targets) {
  auto profile = FitBudgetProfile(curves, targets);
  EXPECT_TRUE(profile.ok()) << profile.status();
  return *std::move(profile);
}

// One layer of heads with these utilities at density 1/2, and 1 in full.
UtilityCurves CurvesAtHalf(std::vector<double> utility) {
  UtilityCurves curves;
  curves.num_layers = 1;
  curves.num_heads = static_cast<int32_t>(utility.size());
  curves.densities = {0.5};
  curves.full.assign(utility.size(), 1.0);
  curves.utility = std::move(utility);
  return curves;
}

TEST(UpperEnvelopeTest, IsConcaveAboveAndMadeOfPoints) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> uniform;
  for (int round = 0; round < 200; ++round) {
    std::vector<UtilityPoint> points = {{0.0, 0.0}};
    for (const double density : kDensities) {
      points.push_back({density, uniform(random)});
    }
    points.push_back({1.0, 1.0});
    const std::vector<UtilityPoint> corners = UpperEnvelope(points);
    ASSERT_GE(corners.size(), 2u);
    EXPECT_EQ(corners.front().density, 0.0);
    EXPECT_EQ(corners.back().density, 1.0);
    double last_slope = std::numeric_limits<double>::infinity();
    size_t corner = 0;
    for (const UtilityPoint& point : points) {
      if (point.density > corners[corner + 1].density) ++corner;
      const UtilityPoint& a = corners[corner];
      const UtilityPoint& b = corners[corner + 1];
      const double slope = (b.utility - a.utility) / (b.density - a.density);
      const double on_line = a.utility + slope * (point.density - a.density);
      EXPECT_LE(point.utility, on_line + 0x1p-50);
    }
    for (size_t i = 1; i < corners.size(); ++i) {
      const double slope = (corners[i].utility - corners[i - 1].utility) /
                           (corners[i].density - corners[i - 1].density);
      EXPECT_LE(slope, last_slope * (1 + 0x1p-50));
      last_slope = slope;
      const bool is_point = std::any_of(
          points.begin(), points.end(), [&](const UtilityPoint& point) {
            return point.density == corners[i].density &&
                   point.utility == corners[i].utility;
          });
      EXPECT_TRUE(is_point);
    }
  }
}

TEST(BudgetProfileFitTest, MeanIsTheTargetAndNoHeadFalls) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const BudgetProfile profile = Fit(RandomCurves(seed), kTargets);
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      std::vector<double> last(kHeads, 0.0);
      for (const float target : kTargets) {
        double sum = 0.0;
        for (int32_t head = 0; head < kHeads; ++head) {
          const double density = profile.HeadDensity(layer, head, target);
          EXPECT_GE(density, last[head]);
          EXPECT_LE(density, 1.0);
          last[head] = density;
          sum += density;
        }
        // Values are stored as floats.
        EXPECT_NEAR(sum / kHeads, target, 0x1p-24);
      }
    }
  }
}

// A curve's upper concave envelope at a density, by its definition: the highest
// line between two of the points.
double EnvelopeAt(const std::vector<UtilityPoint>& points, double density) {
  double highest = 0.0;
  for (const UtilityPoint& a : points) {
    for (const UtilityPoint& b : points) {
      if (a.density > density || b.density < density) continue;
      const double width = b.density - a.density;
      const double at = width == 0.0
                            ? a.utility
                            : a.utility + (density - a.density) / width *
                                              (b.utility - a.utility);
      highest = std::max(highest, at);
    }
  }
  return highest;
}

// Of three heads whose curves bend at tenths: where the sum of densities is a
// whole number of tenths, no better densities than the best tenths exist.
TEST(BudgetProfileFitTest, NoOtherDensitiesAreBetter) {
  const std::vector<double> densities = {0.1, 0.2, 0.4, 0.7};
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform;
  for (int round = 0; round < 30; ++round) {
    UtilityCurves curves;
    curves.num_layers = 1;
    curves.num_heads = 3;
    curves.densities = densities;
    std::vector<std::vector<UtilityPoint>> points;
    double steepest = 0.0;
    for (int head = 0; head < 3; ++head) {
      const double full = std::exp(4.0 * uniform(random));
      points.push_back({{0.0, 0.0}});
      for (const double density : densities) {
        // Also such as are worse than nothing.
        curves.utility.push_back(full * (1.2 * uniform(random) - 0.2));
        points.back().push_back({density, curves.utility.back()});
      }
      points.back().push_back({1.0, full});
      curves.full.push_back(full);
      steepest = std::max(steepest, full / densities[0]);
    }
    for (int tenths = 1; tenths < 30; ++tenths) {
      double best = 0.0;
      for (int a = 0; a <= 10; ++a) {
        for (int b = 0; b <= 10; ++b) {
          const int c = tenths - a - b;
          if (c < 0 || c > 10) continue;
          best = std::max(best, EnvelopeAt(points[0], 0.1 * a) +
                                    EnvelopeAt(points[1], 0.1 * b) +
                                    EnvelopeAt(points[2], 0.1 * c));
        }
      }
      const float target = static_cast<float>(tenths) / 30.0f;
      const BudgetProfile profile = Fit(curves, {target});
      double got = 0.0;
      for (int head = 0; head < 3; ++head) {
        got += EnvelopeAt(points[head], profile.HeadDensity(0, head, target));
      }
      // The target and three densities are rounded to floats.
      EXPECT_NEAR(got, best, 6 * 0x1p-24 * steepest) << tenths;
    }
  }
}

TEST(BudgetProfileFitTest, AHeadThatWritesMoreGetsMore) {
  UtilityCurves curves = CurvesAtHalf({0.75, 7.5});
  curves.full = {1.0, 10.0};
  const BudgetProfile profile = Fit(curves, {0.25f, 0.5f, 0.75f});
  // By tenths: 15 and 1.5 a density for the first halves, 5 and 0.5 behind.
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.25), 0.0);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.25), 0.5);
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.5), 0.0);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.5), 1.0);
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.75), 0.5);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.75), 1.0);
}

TEST(BudgetProfileFitTest, HeadsThatWriteNothingShareEvenly) {
  UtilityCurves curves = CurvesAtHalf({0.0, -0.5, 0.0});
  curves.full = {0.0, 0.0, 0.0};
  const BudgetProfile profile = Fit(curves, {0.25f});
  for (int head = 0; head < 3; ++head) {
    EXPECT_EQ(profile.HeadDensity(0, head, 0.25), 0.25);
  }
}

TEST(BudgetProfileFitTest, AFlatHeadGetsLittle) {
  // Its utility grows as fast as its density; the other's at first thrice.
  const BudgetProfile profile =
      Fit(CurvesAtHalf({0.5, 0.9}), {0.1f, 0.25f, 0.5f});
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.1), 0.0);
  EXPECT_NEAR(profile.HeadDensity(0, 1, 0.1), 0.2, 0x1p-24);
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.25), 0.0);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.25), 0.5);
  // The steep head's second half is the flattest piece of all.
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.5), 0.5);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.5), 0.5);
}

TEST(BudgetProfileFitTest, HeadsThatAreAlikeGetTheSame) {
  const BudgetProfile profile =
      Fit(CurvesAtHalf({0.75, 0.75, 0.75, 0.6}), {0.125f, 0.3f, 0.9f});
  for (const double target : {0.125, 0.3, 0.9}) {
    const double first = profile.HeadDensity(0, 0, target);
    EXPECT_EQ(profile.HeadDensity(0, 1, target), first);
    EXPECT_EQ(profile.HeadDensity(0, 2, target), first);
  }
  EXPECT_NEAR(profile.HeadDensity(0, 0, 0.125), 0.5 / 3, 0x1p-24);
}

TEST(BudgetProfileFitTest, NoiseAndRoundingAreTakenForWhatTheyMean) {
  // Utility above all by rounding, and one that falls.
  UtilityCurves curves = CurvesAtHalf({1.0000001, 0.8});
  curves.densities = {0.25, 0.5};
  curves.utility = {1.0000001, 1.0, 0.8, 0.7};
  const BudgetProfile profile = Fit(curves, {0.25f, 0.625f, 1.0f});
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.25), 0.25);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.25), 0.25);
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.625), 0.25);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.625), 1.0);
  EXPECT_EQ(profile.HeadDensity(0, 0, 1.0), 1.0);
}

// Three budgets below what is forced realize one density, the largest all.
TEST(BudgetProfileFitTest, PointsThatCoincideCountOnce) {
  UtilityCurves once = CurvesAtHalf({});
  once.num_heads = 2;
  once.full = {1.0, 1.0};
  once.densities = {0.25, 0.5};
  once.utility = {0.3, 0.6, 0.7, 0.9};
  UtilityCurves often = once;
  often.densities = {0.25, 0.25, 0.25, 0.5, 1.0, 1.0};
  often.utility = {0.3, 0.3, 0.3, 0.6, 1.0, 0.9999999,  //
                   0.6, 0.7, 0.5, 0.9, 1.0, 1.0};
  const std::vector<float> targets = {0.125f, 0.25f, 0.3f, 0.5f, 0.9f};
  const BudgetProfile want = Fit(once, targets);
  const BudgetProfile profile = Fit(often, targets);
  for (const float target : targets) {
    for (int32_t head = 0; head < 2; ++head) {
      EXPECT_EQ(profile.HeadDensity(0, head, target),
                want.HeadDensity(0, head, target));
    }
  }
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.125), 0.25);
}

TEST(BudgetProfileFitTest, RefusesWhatIsNoCurve) {
  const auto code = [](const UtilityCurves& curves,
                       const std::vector<float>& targets) {
    return FitBudgetProfile(curves, targets).status().code();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const UtilityCurves good = CurvesAtHalf({0.7, 0.8});
  EXPECT_EQ(code(good, {}), kInvalid);
  EXPECT_EQ(code(good, {0.5f, 0.5f}), kInvalid);
  UtilityCurves bad = good;
  for (const double density : {0.0, -0.5, 1.0000001, std::nan("")}) {
    bad.densities = {density};
    EXPECT_EQ(code(bad, {0.5f}), kInvalid) << density;
  }
  bad = good;
  bad.num_heads = 1;
  bad.densities = {0.5, 0.25};
  EXPECT_EQ(code(bad, {0.5f}), kInvalid);
  bad = good;
  bad.densities = {0.2, 0.5};
  EXPECT_EQ(code(bad, {0.5f}), kInvalid);
  bad = good;
  bad.utility[1] = std::nan("");
  EXPECT_EQ(code(bad, {0.5f}), kInvalid);
  bad = good;
  for (const double full :
       {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    bad.full[1] = full;
    EXPECT_EQ(code(bad, {0.5f}), kInvalid) << full;
  }
  bad = good;
  bad.full.pop_back();
  EXPECT_EQ(code(bad, {0.5f}), kInvalid);
  bad = good;
  bad.num_heads = 0;
  EXPECT_EQ(code(bad, {0.5f}), kInvalid);
}

}  // namespace
}  // namespace seer
