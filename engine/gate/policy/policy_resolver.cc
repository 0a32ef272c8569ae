#include "engine/gate/policy/policy_resolver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "engine/gate/oracle.h"
#include "kernels/block_selection/row_budget.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

constexpr int64_t kMaxBlocks = int64_t{1} << 20;
constexpr int64_t kMaxSinkBlocks = 16;

// `value` within [low, high]; false for NaN.
template <typename T>
absl::Status CheckRange(absl::string_view field, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(
      field, absl::StrCat("must be ", low, " to ", high, ", is ", value));
}

absl::Status CheckBelowOne(absl::string_view field, double value) {
  if (value >= 0 && value < 1) return absl::OkStatus();
  return InvalidField(
      field, absl::StrCat("must be at least 0 and below 1, is ", value));
}

absl::Status CheckBudget(const Budget& budget) {
  switch (budget.kind) {
    case BudgetKind::kDense:
      return absl::OkStatus();
    case BudgetKind::kTargetSparsity:
      return CheckBelowOne("policy.budget.target_sparsity",
                           budget.target_sparsity);
    case BudgetKind::kTopKBlocks:
      return CheckRange<int64_t>("policy.budget.top_k_blocks",
                                 budget.top_k_blocks, 1, kMaxBlocks);
    case BudgetKind::kTokenBudget:
      return CheckRange<int64_t>("policy.budget.token_budget",
                                 budget.token_budget, kBlockSize,
                                 kMaxBlocks * kBlockSize);
    case BudgetKind::kThreshold:
      return CheckBelowOne("policy.budget.threshold", budget.threshold);
  }
  return absl::InternalError("unknown budget");
}

absl::Status CheckForced(int64_t sink_blocks, int64_t dense_last_blocks) {
  SEER_RETURN_IF_ERROR(CheckRange<int64_t>("policy.sink_blocks", sink_blocks, 0,
                                           kMaxSinkBlocks));
  return CheckRange<int64_t>("policy.dense_last_blocks", dense_last_blocks, 0,
                             kMaxBlocks);
}

// The density of a prompt of this shape under the budget; nullopt: not known
// before scores are.
std::optional<double> DensityOf(const Budget& budget,
                                const RowBudgetShape& shape) {
  const auto top_k = [&](int64_t k) {
    const int64_t dense_rows =
        std::min<int64_t>(shape.dense_last_blocks, shape.num_tiles);
    int64_t selected = 0;
    for (int64_t i = 0; i < shape.num_tiles; ++i) {
      selected += i >= shape.num_tiles - dense_rows
                      ? i + 1
                      : std::max(ForcedBlocks(shape, i), std::min(k, i + 1));
    }
    return 2.0 * selected / (1.0 * shape.num_tiles * (shape.num_tiles + 1));
  };
  switch (budget.kind) {
    case BudgetKind::kDense:
      return 1.0;
    case BudgetKind::kTargetSparsity:
      return 1.0 - budget.target_sparsity;
    case BudgetKind::kTopKBlocks:
      return top_k(budget.top_k_blocks);
    case BudgetKind::kTokenBudget:
      return top_k(budget.token_budget / kBlockSize);
    case BudgetKind::kThreshold:
      return std::nullopt;
  }
  return std::nullopt;
}

// The name of an oracle; empty: of a gate.
absl::string_view OracleName(const std::optional<GateChoice>& choice) {
  if (!choice.has_value()) return "";
  if (choice->kind == GateChoice::Kind::kOracleMax) return kOracleMaxName;
  if (choice->kind == GateChoice::Kind::kOracleMass) return kOracleMassName;
  return "";
}

absl::StatusOr<Allocation> ChooseAllocation(const SparsityPolicy& policy,
                                            const GateSet& gate_set) {
  const bool has_profile = gate_set.profile.has_value();
  if (policy.allocation == Allocation::kProfiled && !has_profile) {
    return WithResource(
        absl::FailedPreconditionError(
            absl::StrCat("gate ", gate_set.name,
                         " has no budget profile for the allocation PROFILED")),
        "seer.v1.GateSet", gate_set.name);
  }
  return policy.allocation.value_or(has_profile ? Allocation::kProfiled
                                                : Allocation::kUniform);
}

}  // namespace

absl::Status PolicyOptions::Validate() const {
  SEER_RETURN_IF_ERROR(CheckForced(sink_blocks, dense_last_blocks));
  SEER_RETURN_IF_ERROR(CheckBudget(default_policy.budget));
  SEER_RETURN_IF_ERROR(CheckForced(
      default_policy.sink_blocks.value_or(sink_blocks),
      default_policy.dense_last_blocks.value_or(dense_last_blocks)));
  if (dense_fallback.short_prompt_tokens < 0) {
    return absl::InvalidArgumentError("short_prompt_tokens is negative");
  }
  if (!(dense_fallback.near_dense_density > 0 &&
        dense_fallback.near_dense_density <= 1)) {
    return absl::InvalidArgumentError("near_dense_density is not in (0, 1]");
  }
  return absl::OkStatus();
}

DenseFallback PolicyResolver::FallbackFor(const EffectivePolicy& policy,
                                          int64_t prompt_len) const {
  const DenseFallbackOptions& options = options_.dense_fallback;
  if (policy.budget.kind == BudgetKind::kTargetSparsity &&
      !options.for_target_sparsity) {
    return DenseFallback::kNone;
  }
  RowBudgetShape shape;
  shape.num_tiles = NumBlocks(prompt_len);
  shape.sink_blocks = policy.sink_blocks;
  shape.dense_last_blocks = policy.dense_last_blocks;
  const bool all_forced = shape.num_tiles <= int64_t{policy.sink_blocks} + 1 +
                                                 policy.dense_last_blocks;
  if (all_forced || prompt_len < options.short_prompt_tokens) {
    return DenseFallback::kShortPrompt;
  }
  const std::optional<double> density = DensityOf(policy.budget, shape);
  if (density.has_value() && *density >= options.near_dense_density) {
    return DenseFallback::kNearDense;
  }
  return DenseFallback::kNone;
}

absl::StatusOr<ResolvedPolicy> PolicyResolver::Resolve(
    const GateTable& gates, const std::optional<SparsityPolicy>& requested,
    absl::string_view request_id, int64_t prompt_len) const {
  ResolvedPolicy resolved;
  resolved.requested = requested.value_or(options_.default_policy);
  SparsityPolicy policy = resolved.requested;
  SEER_RETURN_IF_ERROR(CheckBudget(policy.budget));
  EffectivePolicy effective;
  effective.sink_blocks = policy.sink_blocks.value_or(options_.sink_blocks);
  effective.dense_last_blocks =
      policy.dense_last_blocks.value_or(options_.dense_last_blocks);
  SEER_RETURN_IF_ERROR(
      CheckForced(effective.sink_blocks, effective.dense_last_blocks));

  absl::StatusOr<InstalledGateSetPtr> found =
      gates.Find(policy.gate, request_id);
  if (!requested.has_value() && absl::IsFailedPrecondition(found.status())) {
    policy.budget = Budget{};
    policy.gate.reset();
  }
  effective.budget = policy.budget;
  SelectionPlanArgs args;
  // A gate that was asked for must be there, read or not.
  const absl::string_view oracle = OracleName(policy.gate);
  if (!oracle.empty()) {
    if (!options_.allow_oracle_gates) return OracleNotAllowed(oracle);
    GateSet without_profile;
    without_profile.name = std::string(oracle);
    SEER_ASSIGN_OR_RETURN(effective.allocation,
                          ChooseAllocation(policy, without_profile));
    effective.gate = without_profile.name;
    args.oracle = OracleNamed(oracle);
  } else if (policy.gate.has_value() || !IsDense(policy.budget)) {
    SEER_ASSIGN_OR_RETURN(resolved.gate_set, std::move(found));
    const GateSet& set = *resolved.gate_set->set;
    SEER_ASSIGN_OR_RETURN(effective.allocation, ChooseAllocation(policy, set));
    effective.gate = set.name;
    effective.gate_version = set.version;
    args.oracle = OracleNamed(set.gate->design());
  }
  if (!IsDense(policy.budget)) {
    effective.dense_fallback = FallbackFor(effective, prompt_len);
    if (effective.dense_fallback != DenseFallback::kNone) {
      effective.budget = Budget{};
    }
  }
  args.effective = effective;
  if (effective.allocation == Allocation::kProfiled) {
    args.profile = &*resolved.gate_set->set->profile;
  }
  args.prompt_len = prompt_len;
  args.num_layers = shape_.num_layers;
  args.num_query_heads = shape_.num_query_heads;
  resolved.plan = MakeSelectionPlan(args);
  if (resolved.plan.dense()) resolved.gate_set = nullptr;
  return resolved;
}

}  // namespace seer
