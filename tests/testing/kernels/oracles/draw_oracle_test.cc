#include "tests/testing/kernels/oracles/draw_oracle.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {
namespace {

// Tokens 0..3 of probability 1/4, 1/2, 1/8, 1/8.
class DrawOracleTest : public testing::Test {
 protected:
  DrawOracleTest() {
    const float ln2 = std::log(2.0f);
    logits_ = {-2 * ln2, -ln2, -3 * ln2, -3 * ln2};
    args_.dtype = DType::kFloat32;
    args_.num_rows = 1;
    args_.vocab_size = 4;
    args_.logits = logits_.data();
    draw_.row = 0;
  }

  std::vector<int32_t> Allowed(double uniform) const {
    const DrawOracle oracle(args_, draw_);
    std::vector<int32_t> allowed;
    for (int32_t id = -1; id <= 4; ++id) {
      if (oracle.Allows(id, uniform)) allowed.push_back(id);
    }
    return allowed;
  }

  std::vector<float> logits_;
  SampleTokensArgs args_;
  TokenDraw draw_;
};

using Ids = std::vector<int32_t>;

TEST_F(DrawOracleTest, AllowsTheTokenThatHoldsTheNumber) {
  EXPECT_EQ(Allowed(0.0), (Ids{0}));
  EXPECT_EQ(Allowed(0.2499), (Ids{0}));
  EXPECT_EQ(Allowed(0.25), (Ids{0, 1}));
  EXPECT_EQ(Allowed(0.2501), (Ids{1}));
  EXPECT_EQ(Allowed(0.8), (Ids{2}));
  EXPECT_EQ(Allowed(0.999), (Ids{3}));
}

TEST_F(DrawOracleTest, FollowsTheOrderOfLogitsAndWhatIsKept) {
  draw_.top_k = 2;
  EXPECT_EQ(Allowed(0.6), (Ids{1}));
  EXPECT_EQ(Allowed(0.7), (Ids{0}));
  EXPECT_EQ(Allowed(0.999), (Ids{0}));
  draw_.top_k = 0;
  draw_.top_p = 0.8;
  EXPECT_EQ(Allowed(0.9), (Ids{2}));
  draw_.min_p = 0.3;
  EXPECT_EQ(Allowed(0.9), (Ids{0}));
}

TEST_F(DrawOracleTest, AllowsBothWhereRoundingDecides) {
  draw_.top_p = 0.75;  // two tokens, or three
  EXPECT_EQ(Allowed(0.5), (Ids{1}));
  EXPECT_EQ(Allowed(0.62), (Ids{0, 1}));
  EXPECT_EQ(Allowed(0.99), (Ids{0, 2}));
}

TEST_F(DrawOracleTest, GivesNothingToGreedyDraws) {
  draw_.temperature = 0.0;
  EXPECT_EQ(Allowed(0.9), (Ids{1}));
  logits_[3] = NAN;
  EXPECT_EQ(Allowed(0.9), (Ids{-1}));
}

}  // namespace
}  // namespace seer
