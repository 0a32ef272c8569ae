#include "client/evaluation/policy_grid.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/flags/policy_flags.h"

namespace seer {
namespace {

template <typename T>
absl::Status CheckDifferent(const std::vector<T>& values) {
  std::set<T> seen;
  for (const T& value : values) {
    if (!seen.insert(value).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", value, "\" is given twice"));
    }
  }
  return absl::OkStatus();
}

bool Stands(const v1::SparsityPolicy& policy, const v1::GateSetSummary& gate) {
  if (policy.has_label()) {
    return std::find(gate.labels().begin(), gate.labels().end(),
                     policy.label()) != gate.labels().end();
  }
  return gate.name() ==
         (policy.has_gate_set() ? policy.gate_set() : "mean_pool");
}

// Whether the gate may have a budget profile, as far as the model tells.
bool MayHaveProfile(const v1::SparsityPolicy& policy, const v1::Model& model) {
  if (policy.has_builtin() && policy.builtin() != v1::BUILTIN_GATE_MEAN_POOL) {
    return false;
  }
  for (const v1::GateSetSummary& gate : model.gate_sets()) {
    if (Stands(policy, gate)) return gate.has_profile();
  }
  return !policy.has_builtin();
}

}  // namespace

absl::Status PolicyAxes::Validate() const {
  for (const double density : densities) {
    if (!(density > 0 && density <= 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("a density must be in (0, 1], is ", density));
    }
  }
  v1::SparsityPolicy unused;
  for (const std::string& gate : gates) {
    SEER_RETURN_IF_ERROR(SetGate(gate, &unused));
  }
  for (const std::string& allocation : allocations) {
    SEER_RETURN_IF_ERROR(SetAllocation(allocation, &unused));
  }
  SEER_RETURN_IF_ERROR(CheckDifferent(densities));
  SEER_RETURN_IF_ERROR(CheckDifferent(gates));
  return CheckDifferent(allocations);
}

std::string GridPolicy::Line() const {
  return is_dense() ? "dense" : absl::StrCat(gate, " ", allocation);
}

absl::StatusOr<PolicyGrid> MakePolicyGrid(const PolicyAxes& axes,
                                          const v1::Model& model) {
  SEER_RETURN_IF_ERROR(axes.Validate());
  std::vector<double> densities = axes.densities;
  std::sort(densities.begin(), densities.end(), std::greater<double>());
  PolicyGrid grid;
  grid.policies.emplace_back().policy.mutable_dense();
  for (const std::string& gate : axes.gates) {
    for (const std::string& allocation : axes.allocations) {
      v1::SparsityPolicy policy;
      SEER_RETURN_IF_ERROR(SetGate(gate, &policy));
      SEER_RETURN_IF_ERROR(SetAllocation(allocation, &policy));
      if (policy.allocation() == v1::ALLOCATION_PROFILED &&
          !MayHaveProfile(policy, model)) {
        grid.left_out.push_back(
            absl::StrCat(gate, " profiled: it has no budget profile"));
        continue;
      }
      if (axes.sink_blocks) policy.set_sink_blocks(*axes.sink_blocks);
      if (axes.dense_last_blocks) {
        policy.set_dense_last_blocks(*axes.dense_last_blocks);
      }
      for (const double density : densities) {
        if (density == 1) continue;
        policy.set_target_sparsity(1 - density);
        grid.policies.push_back({density, gate, allocation, policy});
      }
    }
  }
  return grid;
}

bool MissesTarget(double asked_density, double realized_density) {
  constexpr double kTolerance = 0.002;
  return std::abs(asked_density - realized_density) > kTolerance;
}

}  // namespace seer
