#include "engine/gate/policy/selection_plan.h"

#include <limits>

#include "engine/gate/budget_profile.h"
#include "gtest/gtest.h"
#include "kernels/block_selection/row_budget.h"

namespace seer {
namespace {

using Kind = SelectionRule::Kind;

SelectionPlanArgs Args(Budget budget) {
  SelectionPlanArgs args;
  args.effective.budget = budget;
  args.effective.gate = "mean_pool";
  args.prompt_len = 64 * 40 - 1;
  args.num_layers = 2;
  args.num_query_heads = 3;
  return args;
}

Budget TargetSparsity(double s) {
  Budget budget;
  budget.kind = BudgetKind::kTargetSparsity;
  budget.target_sparsity = s;
  return budget;
}

TEST(SelectionPlanTest, ZeroMeansDense) {
  Budget threshold;
  threshold.kind = BudgetKind::kThreshold;
  for (const Budget& budget : {Budget{}, TargetSparsity(0), threshold}) {
    const SelectionPlan plan = MakeSelectionPlan(Args(budget));
    EXPECT_TRUE(plan.dense());
    EXPECT_EQ(plan.effective.gate, "");
    EXPECT_EQ(plan.Rule(1).kind, Kind::kAll);
  }
}

TEST(SelectionPlanTest, KnowsHowManyBlocksTilesRead) {
  constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(MakeSelectionPlan(Args(Budget())).BlocksATile(), kAll);
  Budget budget;
  budget.kind = BudgetKind::kThreshold;
  budget.threshold = 0.01;
  EXPECT_EQ(MakeSelectionPlan(Args(budget)).BlocksATile(), kAll);
  budget.kind = BudgetKind::kTopKBlocks;
  budget.top_k_blocks = 5;
  EXPECT_EQ(MakeSelectionPlan(Args(budget)).BlocksATile(), 5);
  budget.top_k_blocks = 1;  // the sink and the tile's own are read anyhow
  EXPECT_EQ(MakeSelectionPlan(Args(budget)).BlocksATile(), 2);
  budget.kind = BudgetKind::kTokenBudget;
  budget.token_budget = 64 * 7 + 63;
  EXPECT_EQ(MakeSelectionPlan(Args(budget)).BlocksATile(), 7);
  const SelectionPlan plan = MakeSelectionPlan(Args(TargetSparsity(0.5)));
  EXPECT_EQ(plan.BlocksATile(), (plan.row_budgets[0] + 1023) / 1024);
}

TEST(SelectionPlanTest, TopKAndTokenBudget) {
  Budget budget;
  budget.kind = BudgetKind::kTopKBlocks;
  budget.top_k_blocks = 5;
  SelectionRule rule = MakeSelectionPlan(Args(budget)).Rule(0);
  EXPECT_EQ(rule.kind, Kind::kTopK);
  EXPECT_EQ(rule.top_k, 5);
  EXPECT_EQ(rule.num_prompt_tiles, 40);
  EXPECT_EQ(rule.sink_blocks, 1);
  EXPECT_EQ(rule.dense_last_blocks, 2);
  EXPECT_TRUE(rule.keep_diagonal);
  budget.kind = BudgetKind::kTokenBudget;
  budget.token_budget = 64 * 7 + 63;
  rule = MakeSelectionPlan(Args(budget)).Rule(0);
  EXPECT_EQ(rule.kind, Kind::kTopK);
  EXPECT_EQ(rule.top_k, 7);
}

TEST(SelectionPlanTest, ThresholdStaysInsideItsRange) {
  Budget budget;
  budget.kind = BudgetKind::kThreshold;
  for (const double t : {1e-300, 0.25, 1 - 1e-16}) {
    budget.threshold = t;
    const SelectionRule rule = MakeSelectionPlan(Args(budget)).Rule(0);
    EXPECT_EQ(rule.kind, Kind::kThreshold);
    EXPECT_GT(rule.threshold, 0.0f);
    EXPECT_LT(rule.threshold, 1.0f);
  }
}

TEST(SelectionPlanTest, UniformGivesEveryHeadTheSameK) {
  const SelectionPlan plan = MakeSelectionPlan(Args(TargetSparsity(0.6)));
  EXPECT_FALSE(plan.closest_feasible);
  RowBudgetShape shape;
  shape.num_tiles = 40;
  const int64_t k = SolveRowBudget(shape, 0.4).k_1024;
  for (int32_t layer = 0; layer < 2; ++layer) {
    const SelectionRule rule = plan.Rule(layer);
    EXPECT_EQ(rule.kind, Kind::kRowBudget);
    for (int32_t head = 0; head < 3; ++head) {
      EXPECT_EQ(rule.row_budgets[head], k);
    }
  }
}

TEST(SelectionPlanTest, WhatForcedBlocksExceedIsClosestFeasible) {
  const SelectionPlan plan = MakeSelectionPlan(Args(TargetSparsity(0.99)));
  EXPECT_TRUE(plan.closest_feasible);
  EXPECT_EQ(plan.Rule(0).row_budgets[0], 0);
}

TEST(SelectionPlanTest, ProfiledHeadsAverageToTheTarget) {
  const auto profile =
      BudgetProfile::Create(2, 3, {0.5f}, {0.2f, 0.5f, 0.8f, 0.5f, 0.5f, 0.5f});
  ASSERT_TRUE(profile.ok());
  SelectionPlanArgs args = Args(TargetSparsity(0.6));
  args.effective.allocation = Allocation::kProfiled;
  args.profile = &*profile;
  const SelectionPlan plan = MakeSelectionPlan(args);
  EXPECT_FALSE(plan.closest_feasible);
  const int32_t* budgets = plan.Rule(0).row_budgets;
  EXPECT_LT(budgets[0], budgets[1]);
  EXPECT_LT(budgets[1], budgets[2]);
  RowBudgetShape shape;
  shape.num_tiles = 40;
  for (int32_t layer = 0; layer < 2; ++layer) {
    int64_t selected = 0;
    for (int32_t head = 0; head < 3; ++head) {
      selected += SumRowCounts(shape, plan.Rule(layer).row_budgets[head]);
    }
    EXPECT_NEAR(selected / (3 * 40 * 41 / 2.0), 0.4, 0.002) << layer;
  }
}

TEST(SelectionPlanTest, OneInfeasibleLayerIsReported) {
  const auto profile =
      BudgetProfile::Create(2, 3, {0.5f}, std::vector<float>(6, 0.5f));
  SelectionPlanArgs args = Args(TargetSparsity(0.99));
  args.effective.allocation = Allocation::kProfiled;
  args.profile = &*profile;
  const SelectionPlan plan = MakeSelectionPlan(args);
  EXPECT_TRUE(plan.closest_feasible);
  for (const int32_t k : plan.row_budgets) EXPECT_EQ(k, 0);
}

}  // namespace
}  // namespace seer
