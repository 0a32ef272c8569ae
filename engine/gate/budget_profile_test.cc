#include "engine/gate/budget_profile.h"

#include <cmath>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

BudgetProfile TwoHeads() {
  // One layer; head 0 is sparse, head 1 dense, mean = target.
  return *BudgetProfile::Create(1, 2, {0.25f, 0.5f},
                                {0.125f, 0.25f, 0.375f, 0.75f});
}

TEST(BudgetProfileTest, IsLinearBetweenPointsAndToTheEnds) {
  const BudgetProfile profile = TwoHeads();
  EXPECT_DOUBLE_EQ(profile.HeadDensity(0, 0, 0.0), 0.0);
  EXPECT_DOUBLE_EQ(profile.HeadDensity(0, 0, 0.125), 0.0625);
  EXPECT_DOUBLE_EQ(profile.HeadDensity(0, 0, 0.25), 0.125);
  EXPECT_DOUBLE_EQ(profile.HeadDensity(0, 1, 0.375), 0.5625);
  EXPECT_DOUBLE_EQ(profile.HeadDensity(0, 0, 0.75), 0.625);
  EXPECT_DOUBLE_EQ(profile.HeadDensity(0, 1, 1.0), 1.0);
}

TEST(BudgetProfileTest, RefusesBadValuesAndNamesThem) {
  const float nan = std::nanf("");
  const struct {
    std::vector<float> densities;
    std::vector<float> values;
    const char* text;
  } cases[] = {
      {{}, {}, "budget_profile_densities: empty"},
      {{0.5f, 0.25f}, {0, 0, 0, 0}, "budget_profile_densities[1]"},
      {{0.5f, 0.5f}, {0, 0, 0, 0}, "budget_profile_densities[1]"},
      {{nan}, {0, 0}, "budget_profile_densities[0]"},
      {{1.5f}, {0, 0}, "budget_profile_densities[0]"},
      {{0.5f}, {0.5f}, "budget_profile: 1 values"},
      {{0.5f}, {0.5f, nan}, "budget_profile, value 1"},
      {{0.5f}, {-0.5f, 0.5f}, "budget_profile, value 0"},
  };
  for (const auto& c : cases) {
    const auto profile = BudgetProfile::Create(1, 2, c.densities, c.values);
    ASSERT_FALSE(profile.ok()) << c.text;
    EXPECT_THAT(std::string(profile.status().message()), HasSubstr(c.text));
  }
}

TEST(BudgetProfileTest, ScaledHeadsMeetTheTarget) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> value(0.01f, 1.0f);
  const int32_t heads = 9;
  std::vector<float> values(heads * 3);
  for (float& v : values) v = value(random);
  const auto profile =
      BudgetProfile::Create(1, heads, {0.1f, 0.2f, 0.5f}, values);
  ASSERT_TRUE(profile.ok());
  for (const double density : {0.12, 0.2, 0.31, 0.5, 0.8, 1.0}) {
    const double floor = 0.1;
    const HeadDensities solved =
        SolveHeadDensities(*profile, 0, density, floor);
    EXPECT_TRUE(solved.feasible) << density;
    double sum = 0;
    for (const double d : solved.densities) {
      EXPECT_GE(d, floor);
      EXPECT_LE(d, 1.0);
      sum += d;
    }
    EXPECT_NEAR(sum / heads, density, 1e-12) << density;
  }
}

TEST(BudgetProfileTest, AFloorAboveTheTargetIsInfeasible) {
  const HeadDensities solved = SolveHeadDensities(TwoHeads(), 0, 0.2, 0.3);
  EXPECT_FALSE(solved.feasible);
  EXPECT_DOUBLE_EQ(solved.densities[0], 0.3);
  EXPECT_DOUBLE_EQ(solved.densities[1], 0.3);
}

TEST(BudgetProfileTest, HeadsThatMayReadNothingMakeItInfeasible) {
  const auto profile = BudgetProfile::Create(1, 2, {0.8f}, {0.0f, 1.0f});
  ASSERT_TRUE(profile.ok());
  const HeadDensities solved = SolveHeadDensities(*profile, 0, 0.8, 0.1);
  EXPECT_FALSE(solved.feasible);
  EXPECT_DOUBLE_EQ(solved.densities[1], 1.0);
}

}  // namespace
}  // namespace seer
