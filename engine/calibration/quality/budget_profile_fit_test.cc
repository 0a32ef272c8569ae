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
RecallCurves RandomCurves(uint64_t seed) {
  RecallCurves curves;
  curves.num_layers = kLayers;
  curves.num_heads = kHeads;
  curves.densities = kDensities;
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  for (int row = 0; row < kLayers * kHeads; ++row) {
    std::vector<double> values(kDensities.size());
    for (double& value : values) value = uniform(random);
    std::sort(values.begin(), values.end());
    curves.recall.insert(curves.recall.end(), values.begin(), values.end());
  }
  return curves;
}

BudgetProfile Fit(const RecallCurves& curves,
                  const std::vector<float>& targets) {
  auto profile = FitBudgetProfile(curves, targets);
  EXPECT_TRUE(profile.ok()) << profile.status();
  return *std::move(profile);
}

// One layer of heads with these recalls at density 1/2.
RecallCurves CurvesAtHalf(std::vector<double> recall) {
  RecallCurves curves;
  curves.num_layers = 1;
  curves.num_heads = static_cast<int32_t>(recall.size());
  curves.densities = {0.5};
  curves.recall = std::move(recall);
  return curves;
}

TEST(UpperEnvelopeTest, IsConcaveAboveAndMadeOfPoints) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> uniform;
  for (int round = 0; round < 200; ++round) {
    std::vector<RecallPoint> points = {{0.0, 0.0}};
    for (const double density : kDensities) {
      points.push_back({density, uniform(random)});
    }
    points.push_back({1.0, 1.0});
    const std::vector<RecallPoint> corners = UpperEnvelope(points);
    ASSERT_GE(corners.size(), 2u);
    EXPECT_EQ(corners.front().density, 0.0);
    EXPECT_EQ(corners.back().density, 1.0);
    double last_slope = std::numeric_limits<double>::infinity();
    size_t corner = 0;
    for (const RecallPoint& point : points) {
      if (point.density > corners[corner + 1].density) ++corner;
      const RecallPoint& a = corners[corner];
      const RecallPoint& b = corners[corner + 1];
      const double slope = (b.recall - a.recall) / (b.density - a.density);
      const double on_line = a.recall + slope * (point.density - a.density);
      EXPECT_LE(point.recall, on_line + 0x1p-50);
    }
    for (size_t i = 1; i < corners.size(); ++i) {
      const double slope = (corners[i].recall - corners[i - 1].recall) /
                           (corners[i].density - corners[i - 1].density);
      EXPECT_LE(slope, last_slope * (1 + 0x1p-50));
      last_slope = slope;
      const bool is_point = std::any_of(
          points.begin(), points.end(), [&](const RecallPoint& point) {
            return point.density == corners[i].density &&
                   point.recall == corners[i].recall;
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

// No transfer of density between two heads would gain recall: the slope behind
// each head is at least that before every other.
TEST(BudgetProfileFitTest, NoTransferGains) {
  const RecallCurves curves = RandomCurves(42);
  const BudgetProfile profile = Fit(curves, kTargets);
  const auto envelope_at = [&](int32_t head, double density) {
    std::vector<RecallPoint> points = {{0.0, 0.0}};
    for (size_t p = 0; p < kDensities.size(); ++p) {
      points.push_back(
          {kDensities[p], curves.recall[head * kDensities.size() + p]});
    }
    points.push_back({1.0, 1.0});
    const std::vector<RecallPoint> corners = UpperEnvelope(points);
    size_t i = 1;
    while (i + 1 < corners.size() && corners[i].density < density) ++i;
    const RecallPoint& a = corners[i - 1];
    const RecallPoint& b = corners[i];
    return a.recall + (density - a.density) / (b.density - a.density) *
                          (b.recall - a.recall);
  };
  constexpr double kMoved = 0.01;
  for (const float target : kTargets) {
    std::vector<double> densities;
    for (int32_t head = 0; head < kHeads; ++head) {
      densities.push_back(profile.HeadDensity(0, head, target));
    }
    for (int32_t from = 0; from < kHeads; ++from) {
      for (int32_t to = 0; to < kHeads; ++to) {
        if (from == to || densities[from] < kMoved ||
            densities[to] > 1.0 - kMoved) {
          continue;
        }
        const double gain = envelope_at(to, densities[to] + kMoved) -
                            envelope_at(to, densities[to]);
        const double loss = envelope_at(from, densities[from]) -
                            envelope_at(from, densities[from] - kMoved);
        EXPECT_LE(gain, loss + 1e-6);  // floats, times the steepest slope, 20
      }
    }
  }
}

TEST(BudgetProfileFitTest, AFlatHeadGetsLittle) {
  // Its recall grows as fast as its density; the other's at first thrice.
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
  // Recall above 1 by rounding, and one that falls.
  RecallCurves curves = CurvesAtHalf({1.0000001, 0.8});
  curves.densities = {0.25, 0.5};
  curves.recall = {1.0000001, 1.0, 0.8, 0.7};
  const BudgetProfile profile = Fit(curves, {0.25f, 0.625f, 1.0f});
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.25), 0.25);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.25), 0.25);
  EXPECT_EQ(profile.HeadDensity(0, 0, 0.625), 0.25);
  EXPECT_EQ(profile.HeadDensity(0, 1, 0.625), 1.0);
  EXPECT_EQ(profile.HeadDensity(0, 0, 1.0), 1.0);
}

// Three budgets below what is forced realize one density, the largest all.
TEST(BudgetProfileFitTest, PointsThatCoincideCountOnce) {
  RecallCurves once = CurvesAtHalf({});
  once.num_heads = 2;
  once.densities = {0.25, 0.5};
  once.recall = {0.3, 0.6, 0.7, 0.9};
  RecallCurves often = once;
  often.densities = {0.25, 0.25, 0.25, 0.5, 1.0, 1.0};
  often.recall = {0.3, 0.3, 0.3, 0.6, 1.0, 0.9999999,  //
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
  const auto code = [](const RecallCurves& curves,
                       const std::vector<float>& targets) {
    return FitBudgetProfile(curves, targets).status().code();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const RecallCurves good = CurvesAtHalf({0.7, 0.8});
  EXPECT_EQ(code(good, {}), kInvalid);
  EXPECT_EQ(code(good, {0.5f, 0.5f}), kInvalid);
  RecallCurves bad = good;
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
  bad.recall[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code(bad, {0.5f}), kInvalid);
  bad = good;
  bad.num_heads = 0;
  EXPECT_EQ(code(bad, {0.5f}), kInvalid);
}

}  // namespace
}  // namespace seer
