#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/gate_score/gate_score.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 4099;

TEST(GateSoftmaxTest, MatchesItsDefinition) {
  std::mt19937_64 random(kSeed);
  std::normal_distribution<float> normal(0.0f, 5.0f);
  for (const int32_t n : {1, 2, 17, 300}) {
    std::vector<float> logits(n), probs(n), exact(n);
    for (float& x : logits) x = normal(random);
    GateSoftmax(logits.data(), n, probs.data());
    double sum = 0.0;
    for (const float x : logits) sum += std::exp(double{x} - logits[0]);
    for (int32_t j = 0; j < n; ++j) {
      // Summing n terms in order, and a rounded difference as exponent.
      const double p = std::exp(double{logits[j]} - logits[0]) / sum;
      const double bound = p * (n + 40) * std::ldexp(1.0, -24);
      EXPECT_NEAR(probs[j], p, bound + 1e-45);
    }
  }
}

TEST(GateSoftmaxTest, TreatsWhatIsNotANumberAsUnlikely) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  float probs[4];
  const float mixed[] = {0.0f, nan, 0.0f, -kInf};
  GateSoftmax(mixed, 4, probs);
  EXPECT_EQ(std::vector<float>(probs, probs + 4),
            (std::vector<float>{0.5f, 0.0f, 0.5f, 0.0f}));
  const float infinite[] = {kInf, 1.0f, kInf, nan};
  GateSoftmax(infinite, 4, probs);
  EXPECT_EQ(std::vector<float>(probs, probs + 4),
            (std::vector<float>{0.5f, 0.0f, 0.5f, 0.0f}));
  const float nothing[] = {nan, nan};
  GateSoftmax(nothing, 2, probs);
  EXPECT_EQ(probs[0], 0.0f);
  EXPECT_EQ(probs[1], 0.0f);
}

}  // namespace
}  // namespace seer
