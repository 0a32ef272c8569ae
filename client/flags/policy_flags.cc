#include "client/flags/policy_flags.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {

absl::Status SetGate(const std::string& gate, v1::SparsityPolicy* policy) {
  if (gate == "stable") {
    policy->set_label(v1::GATE_LABEL_STABLE);
  } else if (gate == "canary") {
    policy->set_label(v1::GATE_LABEL_CANARY);
  } else if (gate == "mean_pool") {
    policy->set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
  } else if (gate == "oracle_max") {
    policy->set_builtin(v1::BUILTIN_GATE_ORACLE_MAX);
  } else if (gate == "oracle_mass") {
    policy->set_builtin(v1::BUILTIN_GATE_ORACLE_MASS);
  } else if (absl::StrContains(gate, '/')) {
    policy->set_gate_set(gate);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "a gate cannot be \"", gate,
        "\": must be mean_pool, stable, canary, oracle_max, oracle_mass or a "
        "gate set's name, models/MODEL/gateSets/ID"));
  }
  return absl::OkStatus();
}

absl::Status SetAllocation(const std::string& allocation,
                           v1::SparsityPolicy* policy) {
  if (allocation == "uniform") {
    policy->set_allocation(v1::ALLOCATION_UNIFORM);
  } else if (allocation == "profiled") {
    policy->set_allocation(v1::ALLOCATION_PROFILED);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("an allocation cannot be \"", allocation,
                     "\": must be uniform or profiled"));
  }
  return absl::OkStatus();
}

void PolicyFlags::AddTo(FlagSet* flags) {
  flags->Group("Attention budget (one at most; default: the server's)");
  flags->Add("dense", &dense_, "", "read every block");
  flags->Add("target_sparsity", &target_sparsity_, "S",
             "leave out this share of the visible blocks, in [0, 1)");
  flags->Add("top_k_blocks", &top_k_blocks_, "K",
             "read K blocks of 64 tokens a row of tiles");
  flags->Add("token_budget", &token_budget_, "T",
             "the same in tokens, at least 64");
  flags->Add("threshold", &threshold_, "P",
             "read blocks whose gate probability is over P, in [0, 1)");
  flags->Group("Attention blocks");
  flags->Add("gate", &gate_, "GATE",
             "what scores blocks: mean_pool, stable, canary, a gate set's name "
             "(models/MODEL/gateSets/ID), or oracle_max or oracle_mass where "
             "the server allows them; default stable, which the server needs "
             "--gate_set for");
  flags->Add("allocation", &allocation_, "A",
             "spread target_sparsity over heads: uniform or profiled; default "
             "profiled where the gate set has a profile");
  flags->Add("sink_blocks", &sink_blocks_, "N",
             "always read the first N blocks; default 1");
  flags->Add("dense_last_blocks", &dense_last_blocks_, "N",
             "read everything for the last N tiles; default 2");
}

absl::StatusOr<std::optional<v1::SparsityPolicy>> PolicyFlags::Policy() const {
  const int num_budgets = static_cast<int>(dense_) +
                          static_cast<int>(target_sparsity_.has_value()) +
                          static_cast<int>(top_k_blocks_.has_value()) +
                          static_cast<int>(token_budget_.has_value()) +
                          static_cast<int>(threshold_.has_value());
  if (num_budgets > 1) {
    return absl::InvalidArgumentError(
        "give one of --dense, --target_sparsity, --top_k_blocks, "
        "--token_budget, --threshold");
  }
  v1::SparsityPolicy policy;
  if (dense_) policy.mutable_dense();
  if (target_sparsity_) policy.set_target_sparsity(*target_sparsity_);
  if (top_k_blocks_) policy.set_top_k_blocks(*top_k_blocks_);
  if (token_budget_) policy.set_token_budget(*token_budget_);
  if (threshold_) policy.set_threshold(*threshold_);
  if (!gate_.empty()) {
    SEER_RETURN_IF_ERROR(SetGate(gate_, &policy));
  }
  if (!allocation_.empty()) {
    SEER_RETURN_IF_ERROR(SetAllocation(allocation_, &policy));
  }
  if (sink_blocks_) policy.set_sink_blocks(*sink_blocks_);
  if (dense_last_blocks_) policy.set_dense_last_blocks(*dense_last_blocks_);
  if (policy.ByteSizeLong() == 0) return std::optional<v1::SparsityPolicy>();
  return std::optional<v1::SparsityPolicy>(std::move(policy));
}

}  // namespace seer
