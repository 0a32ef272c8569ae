#include "engine/calibration/network/initial_weights.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(InitialWeightsTest, FollowsFromThePublishedGenerator) {
  // Philox4x32-10's known answer for zeros, 6627e8d5 e169c58d bc57ac4c
  // 9b00dbd8, through Box and Muller's transform.
  const std::vector<float> weights = InitialWeights({}, 2);
  EXPECT_EQ(weights[0], -0x1.3e8d56p-9f);
  EXPECT_EQ(weights[1], -0x1.ba60f2p-6f);
}

TEST(InitialWeightsTest, IsNormalWithADeviationOfAFiftieth) {
  constexpr int64_t kSize = 100001;
  const std::vector<float> weights = InitialWeights({7, 3, false}, kSize);
  double sum = 0.0;
  double squares = 0.0;
  int within_one = 0;
  for (const float weight : weights) {
    sum += weight;
    squares += double{weight} * weight;
    if (std::abs(weight) < 0.02f) ++within_one;
  }
  // Five deviations of each statistic.
  const double root = std::sqrt(static_cast<double>(kSize));
  EXPECT_NEAR(sum / kSize, 0.0, 5 * 0.02 / root);
  EXPECT_NEAR(squares / kSize, 0.0004, 5 * std::sqrt(2.0) * 0.0004 / root);
  const double share = std::erf(std::sqrt(0.5));
  EXPECT_NEAR(within_one / static_cast<double>(kSize), share,
              5 * std::sqrt(share * (1 - share)) / root);
}

TEST(InitialWeightsTest, ANumberDependsOnItsKeyAndIndexAlone) {
  const std::vector<float> weights = InitialWeights({7, 3, false}, 100);
  const std::vector<float> fewer = InitialWeights({7, 3, false}, 33);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), weights.begin()));
  for (const WeightsKey& other :
       {WeightsKey{8, 3, false}, WeightsKey{7, 4, false},
        WeightsKey{7, 3, true},
        WeightsKey{7 + (uint64_t{1} << 32), 3, false}}) {
    EXPECT_NE(InitialWeights(other, 100), weights);
  }
}

}  // namespace
}  // namespace seer
