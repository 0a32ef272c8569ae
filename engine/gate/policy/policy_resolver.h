// What a request's policy means here and now: defaults filled in, the gate
// looked up, budgets solved.
#ifndef SEER_ENGINE_GATE_POLICY_POLICY_RESOLVER_H_
#define SEER_ENGINE_GATE_POLICY_POLICY_RESOLVER_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/gate/gate.h"
#include "engine/gate/policy/gate_table.h"
#include "engine/gate/policy/selection_plan.h"
#include "engine/sparsity_policy.h"

namespace seer {

// When a prompt is read densely although its budget is not dense: a pure
// function of the prompt's length, the budget and these.
struct DenseFallbackOptions {
  // Prompts of fewer tokens (kShortPrompt). Whatever this says, a prompt whose
  // forced blocks and dense tiles cover everything falls back. >= 0
  int64_t short_prompt_tokens = 0;
  // Budgets whose density over the prompt's triangle is at least this
  // (kNearDense); a threshold's is not known beforehand. In (0, 1].
  double near_dense_density = 1.0;
  // Whether an explicit target_sparsity falls back too.
  bool for_target_sparsity = false;
};

struct PolicyOptions {
  // Of requests without a policy. Where it leaves the gate to a label that has
  // no gate set behind it for a request, that is dense.
  SparsityPolicy default_policy;
  int32_t sink_blocks = 1;        // where a policy has none; 0..16
  int32_t dense_last_blocks = 2;  // likewise; 0..1048576
  DenseFallbackOptions dense_fallback;
  // Whether policies may name the oracles.
  bool allow_oracle_gates = false;

  // INVALID_ARGUMENT: a value out of range.
  absl::Status Validate() const;
};

struct ResolvedPolicy {
  SparsityPolicy requested;  // or the default one
  // Kept by the request to its last token; null: dense, or a built-in oracle.
  InstalledGateSetPtr gate_set;
  SelectionPlan plan;
};

// Immutable: any thread may call it.
class PolicyResolver {
 public:
  PolicyResolver(const GateShape& shape, PolicyOptions options)
      : shape_(shape), options_(std::move(options)) {}

  // Of the request with this id and a prompt of `prompt_len` >= 1 tokens.
  // INVALID_ARGUMENT with the field (`sparsity...`): a value out of range.
  // FAILED_PRECONDITION with the resource: a profiled allocation without a
  // profile; ORACLE_NOT_ALLOWED. Errors of GateTable::Find.
  absl::StatusOr<ResolvedPolicy> Resolve(
      const GateTable& gates, const std::optional<SparsityPolicy>& policy,
      absl::string_view request_id, int64_t prompt_len) const;

 private:
  DenseFallback FallbackFor(const EffectivePolicy& policy,
                            int64_t prompt_len) const;

  const GateShape shape_;
  const PolicyOptions options_;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_POLICY_POLICY_RESOLVER_H_
