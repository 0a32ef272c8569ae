// What a request's policy means here and now: defaults filled in, the gate
// looked up, budgets solved.
#ifndef SEER_ENGINE_GATE_POLICY_POLICY_RESOLVER_H_
#define SEER_ENGINE_GATE_POLICY_POLICY_RESOLVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_set.h"
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
  // no gate set behind it, they are dense.
  SparsityPolicy default_policy;
  int32_t sink_blocks = 1;        // where a policy has none; 0..16
  int32_t dense_last_blocks = 2;  // likewise; 0..1048576
  DenseFallbackOptions dense_fallback;

  // INVALID_ARGUMENT: a value out of range.
  absl::Status Validate() const;
};

struct ResolvedPolicy {
  // Kept by the request to its last token; null: dense.
  std::shared_ptr<const GateSet> gate_set;
  SelectionPlan plan;
};

// Immutable: any thread may call it.
class PolicyResolver {
 public:
  // `stable` is what the stable label means; null: nothing yet.
  PolicyResolver(const GateShape& shape, PolicyOptions options,
                 std::shared_ptr<const GateSet> stable);

  // `prompt_len` >= 1 tokens.
  // INVALID_ARGUMENT with the field (`sparsity...`): a value out of range.
  // NOT_FOUND with the resource: a gate set that is not here.
  // FAILED_PRECONDITION with the resource: a label without a gate set behind
  // it, or a profiled allocation without a profile.
  absl::StatusOr<ResolvedPolicy> Resolve(
      const std::optional<SparsityPolicy>& policy, int64_t prompt_len) const;

  // mean_pool, and the stable set if there is one.
  std::vector<std::shared_ptr<const GateSet>> gate_sets() const;
  const std::shared_ptr<const GateSet>& stable() const { return stable_; }

 private:
  absl::StatusOr<std::shared_ptr<const GateSet>> FindGateSet(
      const GateChoice& choice) const;
  DenseFallback FallbackFor(const EffectivePolicy& policy,
                            int64_t prompt_len) const;

  const GateShape shape_;
  const PolicyOptions options_;
  const std::shared_ptr<const GateSet> mean_pool_;
  const std::shared_ptr<const GateSet> stable_;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_POLICY_POLICY_RESOLVER_H_
