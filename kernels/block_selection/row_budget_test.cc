#include "kernels/block_selection/row_budget.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "gtest/gtest.h"

namespace seer {
namespace {

// The rule's left side, row by row as it is written.
int64_t SumOfRows(const RowBudgetShape& s, int64_t k_1024) {
  int64_t sum = 0;
  for (int64_t i = 0; i < s.num_tiles; ++i) {
    const int64_t whole = (i + 1) * 1024;
    sum += IsDenseTile(s, i)
               ? whole
               : std::max(1024 * ForcedBlocks(s, i), std::min(whole, k_1024));
  }
  return sum;
}

double Target(const RowBudgetShape& s, double density) {
  return density * static_cast<double>(s.num_tiles * (s.num_tiles + 1) / 2) *
         1024;
}

RowBudgetShape RandomShape(std::mt19937_64* random) {
  RowBudgetShape s;
  s.num_tiles = 1 + static_cast<int64_t>((*random)() % 300);
  s.sink_blocks = static_cast<int32_t>((*random)() % 17);
  s.dense_last_blocks = static_cast<int32_t>((*random)() % 4);
  s.keep_diagonal = (*random)() % 4 != 0;
  return s;
}

TEST(RowBudgetTest, KIsTheSmallestThatReachesTheTarget) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 3000; ++round) {
    const RowBudgetShape s = RandomShape(&random);
    const double density = static_cast<double>(1 + random() % 1000) / 1000.0;
    const RowBudget budget = SolveRowBudget(s, density);
    const double target = Target(s, density);
    const double floor = static_cast<double>(SumOfRows(s, 0));
    EXPECT_EQ(budget.feasible, floor <= target);
    EXPECT_GE(static_cast<double>(SumOfRows(s, budget.k_1024)), target);
    if (budget.k_1024 > 0) {
      EXPECT_LT(static_cast<double>(SumOfRows(s, budget.k_1024 - 1)), target);
    }
    EXPECT_DOUBLE_EQ(FloorDensity(s) * Target(s, 1.0), floor);
  }
}

TEST(RowBudgetTest, RealizedDensityIsCloseFromThirtyTwoTiles) {
  std::mt19937_64 random(8);
  int num_feasible = 0;
  for (int round = 0; round < 3000; ++round) {
    RowBudgetShape s = RandomShape(&random);
    s.num_tiles = 32 + static_cast<int64_t>(random() % 2100);
    const double density = static_cast<double>(1 + random() % 1000) / 1000.0;
    const RowBudget budget = SolveRowBudget(s, density);
    if (!budget.feasible) continue;
    ++num_feasible;
    const double realized =
        static_cast<double>(SumRowCounts(s, budget.k_1024)) * 1024 /
        Target(s, 1.0);
    EXPECT_NEAR(realized, density, 0.002) << s.num_tiles << " tiles";
  }
  EXPECT_GT(num_feasible, 1000);
}

TEST(RowBudgetTest, FullDensityReadsEverything) {
  for (const int64_t n : {1, 2, 33, 128, 2048}) {
    RowBudgetShape s;
    s.num_tiles = n;
    const RowBudget budget = SolveRowBudget(s, 1.0);
    EXPECT_TRUE(budget.feasible);
    EXPECT_EQ(SumRowCounts(s, budget.k_1024), n * (n + 1) / 2);
  }
}

TEST(RowBudgetTest, ForcedAndDenseRowsBoundTheDensityFromBelow) {
  RowBudgetShape s;
  s.num_tiles = 8;
  s.sink_blocks = 2;
  s.dense_last_blocks = 3;
  const RowBudget budget = SolveRowBudget(s, 0.1);
  EXPECT_FALSE(budget.feasible);
  EXPECT_EQ(budget.k_1024, 0);
  // Rows of 1, 2, 3, 3, 3 blocks, then 6, 7, 8.
  EXPECT_EQ(SumRowCounts(s, 0), 12 + 21);
  EXPECT_DOUBLE_EQ(FloorDensity(s), 33.0 / 36.0);
}

TEST(RowBudgetTest, CountsSpreadTheFractionOfABlock) {
  RowBudgetShape s;
  s.num_tiles = 1000;
  s.dense_last_blocks = 0;
  const int64_t k_1024 = 5 * 1024 + 256;
  int64_t sum = 0;
  for (int64_t i = 100; i < 104; ++i) {
    const int64_t count = RowCount(s, i, k_1024);
    EXPECT_GE(count, 5);
    EXPECT_LE(count, 6);
    sum += count;
  }
  EXPECT_EQ(sum, 21);
}

}  // namespace
}  // namespace seer
