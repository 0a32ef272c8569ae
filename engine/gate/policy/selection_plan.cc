#include "engine/gate/policy/selection_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/block_selection/row_budget.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

RowBudgetShape ShapeOf(const SelectionPlanArgs& args) {
  RowBudgetShape shape;
  shape.num_tiles = NumBlocks(args.prompt_len);
  shape.sink_blocks = args.effective.sink_blocks;
  shape.dense_last_blocks = args.effective.dense_last_blocks;
  return shape;
}

void SolveUniform(const SelectionPlanArgs& args, double density,
                  SelectionPlan& plan) {
  const RowBudget budget = SolveRowBudget(ShapeOf(args), density);
  plan.closest_feasible = !budget.feasible;
  plan.row_budgets.assign(args.num_layers * args.num_query_heads,
                          static_cast<int32_t>(budget.k_1024));
}

void SolveProfiled(const SelectionPlanArgs& args, double density,
                   SelectionPlan& plan) {
  const RowBudgetShape shape = ShapeOf(args);
  const double floor = FloorDensity(shape);
  for (int32_t layer = 0; layer < args.num_layers; ++layer) {
    const HeadDensities heads =
        SolveHeadDensities(*args.profile, layer, density, floor);
    if (!heads.feasible) plan.closest_feasible = true;
    for (const double head_density : heads.densities) {
      // At the floor itself, forced and dense rows are all there is.
      const int64_t k = head_density <= floor
                            ? 0
                            : SolveRowBudget(shape, head_density).k_1024;
      plan.row_budgets.push_back(static_cast<int32_t>(k));
    }
  }
}

// A probability threshold as the kernel compares it: inside (0, 1).
float KernelThreshold(double threshold) {
  return std::clamp(static_cast<float>(threshold),
                    std::numeric_limits<float>::min(),
                    std::nextafter(1.0f, 0.0f));
}

}  // namespace

bool IsDense(const Budget& budget) {
  switch (budget.kind) {
    case BudgetKind::kDense:
      return true;
    case BudgetKind::kTargetSparsity:
      return budget.target_sparsity == 0;
    case BudgetKind::kThreshold:
      return budget.threshold == 0;
    case BudgetKind::kTopKBlocks:
    case BudgetKind::kTokenBudget:
      return false;
  }
  return false;
}

int64_t SelectionPlan::BlocksATile() const {
  if (oracle != Oracle::kNone) return std::numeric_limits<int64_t>::max();
  const Budget& budget = effective.budget;
  const int64_t forced = effective.sink_blocks + 1;
  switch (budget.kind) {
    case BudgetKind::kTopKBlocks:
      return std::max(forced, budget.top_k_blocks);
    case BudgetKind::kTokenBudget:
      return std::max<int64_t>(forced, budget.token_budget / kBlockSize);
    case BudgetKind::kTargetSparsity: {
      int64_t sum_1024 = 0;
      for (const int32_t k_1024 : row_budgets) {
        sum_1024 += std::max<int64_t>(k_1024, forced * 1024);
      }
      return (sum_1024 / static_cast<int64_t>(row_budgets.size()) + 1023) /
             1024;
    }
    case BudgetKind::kDense:
    case BudgetKind::kThreshold:
      break;
  }
  return std::numeric_limits<int64_t>::max();
}

SelectionRule SelectionPlan::Rule(int32_t layer) const {
  SelectionRule rule;
  rule.num_prompt_tiles = num_prompt_tiles;
  rule.sink_blocks = effective.sink_blocks;
  rule.dense_last_blocks = effective.dense_last_blocks;
  const Budget& budget = effective.budget;
  switch (budget.kind) {
    case BudgetKind::kDense:
      rule.kind = SelectionRule::Kind::kAll;
      break;
    case BudgetKind::kTargetSparsity:
      rule.kind = SelectionRule::Kind::kRowBudget;
      rule.row_budgets = row_budgets.data() + layer * num_query_heads;
      break;
    case BudgetKind::kTopKBlocks:
      rule.kind = SelectionRule::Kind::kTopK;
      rule.top_k = static_cast<int32_t>(budget.top_k_blocks);
      break;
    case BudgetKind::kTokenBudget:
      rule.kind = SelectionRule::Kind::kTopK;
      rule.top_k = static_cast<int32_t>(budget.token_budget / kBlockSize);
      break;
    case BudgetKind::kThreshold:
      rule.kind = SelectionRule::Kind::kThreshold;
      rule.threshold = KernelThreshold(budget.threshold);
      break;
  }
  return rule;
}

SelectionPlan MakeSelectionPlan(const SelectionPlanArgs& args) {
  SelectionPlan plan;
  plan.effective = args.effective;
  plan.num_query_heads = args.num_query_heads;
  plan.num_prompt_tiles = static_cast<int32_t>(NumBlocks(args.prompt_len));
  if (IsDense(args.effective.budget)) {
    plan.effective.budget = Budget{};
    plan.effective.gate.clear();
    plan.effective.gate_version.clear();
    plan.effective.allocation = Allocation::kUniform;
    return plan;
  }
  plan.oracle = args.oracle;
  if (args.effective.budget.kind != BudgetKind::kTargetSparsity) return plan;
  const double density = 1.0 - args.effective.budget.target_sparsity;
  if (plan.effective.allocation == Allocation::kProfiled) {
    SolveProfiled(args, density, plan);
  } else {
    SolveUniform(args, density, plan);
  }
  return plan;
}

}  // namespace seer
