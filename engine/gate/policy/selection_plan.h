// A request's policy turned into what block selection reads, layer by layer.
#ifndef SEER_ENGINE_GATE_POLICY_SELECTION_PLAN_H_
#define SEER_ENGINE_GATE_POLICY_SELECTION_PLAN_H_

#include <cstdint>
#include <vector>

#include "engine/gate/budget_profile.h"
#include "engine/gate/oracle.h"
#include "engine/sparsity_policy.h"
#include "kernels/block_selection/block_selection.h"

namespace seer {

// Solved once, at admission; chunks and steps share it.
struct SelectionPlan {
  EffectivePolicy effective;
  Oracle oracle = Oracle::kNone;  // kNone: a gate ranks
  // Forced blocks alone exceed the target somewhere: the closest feasible
  // sparsity is served.
  bool closest_feasible = false;
  int32_t num_query_heads = 0;
  int32_t num_prompt_tiles = 0;
  // [num_layers, num_query_heads], in 1/1024 block; empty unless the budget
  // is a target sparsity.
  std::vector<int32_t> row_budgets;

  // Every tile reads everything.
  bool dense() const { return effective.budget.kind == BudgetKind::kDense; }

  // Key blocks that a head reads of a tile that sees more, on average over
  // layers and heads; where it is not known beforehand (kDense, kThreshold),
  // and under an oracle, which reads all to choose, as many as there can be.
  int64_t BlocksATile() const;

  // The rule of one layer; its row budgets are borrowed from this plan.
  SelectionRule Rule(int32_t layer) const;
};

struct SelectionPlanArgs {
  EffectivePolicy effective;  // complete, its values in range
  // What effective.gate ranks blocks by, if that is an oracle or a gate set for
  // one.
  Oracle oracle = Oracle::kNone;
  // Needed where effective.allocation is kProfiled and the budget is a target
  // sparsity.
  const BudgetProfile* profile = nullptr;
  int64_t prompt_len = 0;  // >= 1
  int32_t num_layers = 0;
  int32_t num_query_heads = 0;
};

// Whether the budget means dense: dense itself, and s = 0 and t = 0, which do
// by definition.
bool IsDense(const Budget& budget);

// A budget that IsDense is kDense, without a gate, in the plan's effective
// policy.
SelectionPlan MakeSelectionPlan(const SelectionPlanArgs& args);

}  // namespace seer

#endif  // SEER_ENGINE_GATE_POLICY_SELECTION_PLAN_H_
