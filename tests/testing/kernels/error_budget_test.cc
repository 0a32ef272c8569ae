#include "tests/testing/kernels/error_budget.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

bool Within(std::vector<float> fast, std::vector<float> plain,
            std::vector<float> reference, DType dtype) {
  return WithinErrorBudget(fast, plain, reference, dtype);
}

TEST(HalfUlpTest, IsHalfTheSpacingOfTheType) {
  EXPECT_EQ(HalfUlp(1.0, DType::kBFloat16), std::ldexp(1.0, -8));
  EXPECT_EQ(HalfUlp(-1.99, DType::kBFloat16), std::ldexp(1.0, -8));
  EXPECT_EQ(HalfUlp(2.0, DType::kFloat32), std::ldexp(1.0, -23));
  EXPECT_EQ(HalfUlp(0.0, DType::kFloat32), 0.0);
}

TEST(ErrorBudgetTest, IsTwiceThePlainErrorPlusRounding) {
  // Plain is off by 1/64 somewhere; the largest magnitude, 1, rounds by 1/256.
  const std::vector<float> reference = {1.0f, 0.5f};
  const std::vector<float> plain = {1.0f, 0.5f + 1.0f / 64};
  const float budget = 2.0f / 64 + 1.0f / 256;
  EXPECT_TRUE(Within({1.0f + budget, 0.5f - budget}, plain, reference,
                     DType::kBFloat16));
  EXPECT_FALSE(Within({1.0f + budget * 1.01f, 0.5f}, plain, reference,
                      DType::kBFloat16));
  EXPECT_FALSE(
      Within({1.0f + budget, 0.5f}, plain, reference, DType::kFloat32));
}

TEST(ErrorBudgetTest, InfinitiesMustMatchAndNanNeverDoes) {
  EXPECT_TRUE(Within({-kInf, 1}, {-kInf, 1}, {-kInf, 1}, DType::kFloat32));
  EXPECT_FALSE(Within({kInf, 1}, {-kInf, 1}, {-kInf, 1}, DType::kFloat32));
  EXPECT_FALSE(Within({0, 1}, {-kInf, 1}, {-kInf, 1}, DType::kFloat32));
  EXPECT_FALSE(Within({-kInf, 1}, {0, 1}, {0, 1}, DType::kFloat32));
  EXPECT_FALSE(Within({kNan, 1}, {0, 1}, {0, 1}, DType::kFloat32));
  EXPECT_FALSE(Within({kNan, 1}, {kNan, 1}, {kNan, 1}, DType::kFloat32));
}

TEST(ErrorBudgetTest, RefusesCasesThatGiveNoBudget) {
  EXPECT_FALSE(Within({1}, {kNan}, {1}, DType::kFloat32));
  EXPECT_FALSE(Within({1, 1}, {1}, {1}, DType::kFloat32));
}

}  // namespace
}  // namespace seer
