#include "engine/sampler/logit_row.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "engine/token.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// `distinct` 0: normal; else that many different values, so ties abound.
std::vector<float> RandomRow(int64_t size, uint32_t seed, int distinct = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 5.0f);
  std::vector<float> row(size);
  for (float& logit : row) {
    logit =
        distinct > 0 ? static_cast<float>(random() % distinct) : normal(random);
  }
  return row;
}

// All tokens that can be drawn, in order of logit, ties by id.
std::vector<TokenId> Sorted(const std::vector<float>& row) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] != -kInfinity) ids.push_back(i);
  }
  std::stable_sort(ids.begin(), ids.end(),
                   [&](TokenId a, TokenId b) { return row[a] > row[b]; });
  return ids;
}

TEST(LogitRow, FindsWhatIsNotFinite) {
  for (int64_t size = 1; size <= 70; ++size) {
    std::vector<float> row = RandomRow(size, size);
    EXPECT_TRUE(AllFinite(row));
    row[0] = std::numeric_limits<float>::max();
    EXPECT_TRUE(AllFinite(row));
    for (int64_t i = 0; i < size; ++i) {
      const float kept = row[i];
      for (const float bad :
           {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
        row[i] = bad;
        EXPECT_FALSE(AllFinite(row)) << size << " " << i << " " << bad;
      }
      row[i] = kept;
    }
  }
  EXPECT_TRUE(AllFinite({}));
}

TEST(LogitRow, FindsTheMaximum) {
  for (int64_t size = 1; size <= 70; ++size) {
    const std::vector<float> row = RandomRow(size, size);
    EXPECT_EQ(MaxLogit(row), *std::max_element(row.begin(), row.end()));
  }
  EXPECT_EQ(MaxLogit({}), -kInfinity);
  EXPECT_EQ(MaxLogit(std::vector<float>(5, -kInfinity)), -kInfinity);
}

TEST(LogitRow, RanksByLogitThenId) {
  for (const int distinct : {0, 1, 3}) {
    const std::vector<float> row = RandomRow(100, 3, distinct);
    const std::vector<TokenId> sorted = Sorted(row);
    for (size_t rank = 0; rank < sorted.size(); ++rank) {
      EXPECT_EQ(CountBetter(row, sorted[rank]), static_cast<int64_t>(rank));
    }
  }
}

TEST(LogitRow, SelectsAsAFullSortWould) {
  std::vector<RankedToken> best;
  for (const int64_t size : {1, 2, 17, 300, 5000}) {
    for (const int distinct : {0, 1, 4, 50}) {
      for (const bool banned : {false, true}) {
        std::vector<float> row = RandomRow(size, size + distinct, distinct);
        if (banned) {
          for (int64_t i = 0; i < size; i += 3) row[i] = -kInfinity;
        }
        const std::vector<TokenId> sorted = Sorted(row);
        for (const int64_t count : {0, 1, 2, 7, 128, 299, 4999, 100000}) {
          SelectBest(row, count, &best);
          ASSERT_EQ(best.size(), std::min<size_t>(count, sorted.size()));
          for (size_t i = 0; i < best.size(); ++i) {
            ASSERT_EQ(best[i].id, sorted[i]);
            ASSERT_EQ(best[i].logit, row[sorted[i]]);
          }
        }
      }
    }
  }
}

TEST(LogitRow, SelectsFromSortedRows) {
  std::vector<float> row(1000);
  std::vector<RankedToken> best;
  for (const float sign : {1.0f, -1.0f}) {
    for (int i = 0; i < 1000; ++i) row[i] = sign * static_cast<float>(i);
    SelectBest(row, 10, &best);
    ASSERT_EQ(best.size(), 10u);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(best[i].id, sign > 0 ? 999 - i : i);
    }
  }
}

// The bound that logit_row.h states, and the rounding of the sum itself: one
// float for each of a group's 16 steps and 16 lanes.
TEST(LogitRow, WeightsAreWithinTheirBound) {
  for (const int64_t size : {1, 15, 256, 257, 4099}) {
    for (const float scale : {0.01f, 1.0f, 7.5f, 1000.0f}) {
      std::vector<float> row = RandomRow(size, size);
      row.back() = -kInfinity;
      row.front() = 3.0f;
      const float max = MaxLogit(row);
      std::vector<float> weights(size);
      std::vector<double> groups((size + kWeightGroup - 1) / kWeightGroup);
      const double sum = ComputeWeights(
          row, max, scale, absl::MakeSpan(weights), absl::MakeSpan(groups));
      EXPECT_EQ(SumWeights(row, max, scale), sum);
      double exact_sum = 0.0;
      double sum_bound = 0.0;
      double group_sum = 0.0;
      for (int64_t i = 0; i < size; ++i) {
        const double exponent = (double{row[i]} - max) * scale;
        const double exact = std::exp(exponent);
        // Below e^-87 the weight is 0.
        const double bound =
            exponent > -86.9 ? exact * (0x1p-21 + 0x1p-22 * std::abs(exponent))
                             : std::exp(-86.9);
        ASSERT_NEAR(weights[i], exact, bound) << exponent;
        exact_sum += exact;
        sum_bound += bound;
      }
      for (const double group : groups) group_sum += group;
      EXPECT_NEAR(sum, exact_sum, sum_bound + exact_sum * 32 * 0x1p-24);
      EXPECT_DOUBLE_EQ(sum, group_sum);
    }
  }
}

TEST(LogitRow, TheBestWeighsOneAndTheBannedNothing) {
  const std::vector<float> row = {-kInfinity, 5.0f, 5.0f, -3e38f};
  std::vector<float> weights(4);
  std::vector<double> groups(1);
  EXPECT_EQ(ComputeWeights(row, 5.0f, 1e30f, absl::MakeSpan(weights),
                           absl::MakeSpan(groups)),
            2.0);
  EXPECT_EQ(weights, (std::vector<float>{0.0f, 1.0f, 1.0f, 0.0f}));
}

}  // namespace
}  // namespace seer
