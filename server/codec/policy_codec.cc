#include "server/codec/policy_codec.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "google/protobuf/message.h"

namespace seer {
namespace {

constexpr int64_t kMaxTopKBlocks = 1048576;
constexpr int64_t kMinTokenBudget = 64;
constexpr int64_t kMaxTokenBudget = 67108864;
constexpr int32_t kMaxSinkBlocks = 16;
constexpr int32_t kMaxDenseLastBlocks = 1048576;
constexpr char kMeanPool[] = "mean_pool";

std::string Join(absl::string_view path, absl::string_view field) {
  return absl::StrCat(path, ".", field);
}

// False for NaN.
bool IsShare(double value) { return value >= 0.0 && value < 1.0; }

absl::Status OutOfRange(absl::string_view path, absl::string_view field,
                        absl::string_view range, double value) {
  return InvalidField(Join(path, field),
                      absl::StrCat("must be in ", range, ", is ", value));
}

bool IsId(absl::string_view id) {
  if (id.empty() || id.size() > 63) return false;
  for (const char c : id) {
    const bool allowed =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!allowed) return false;
  }
  return true;
}

bool IsGateSetName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  return name.size() <= 512 && parts.size() == 4 && parts[0] == "models" &&
         !parts[1].empty() && parts[2] == "gateSets" && IsId(parts[3]);
}

// Without a budget nothing is selected, and what says how has no effect.
absl::Status CheckHasBudget(const v1::SparsityPolicy& policy,
                            absl::string_view path) {
  if (policy.budget_case() != v1::SparsityPolicy::BUDGET_NOT_SET) {
    return absl::OkStatus();
  }
  std::vector<const google::protobuf::FieldDescriptor*> given;
  policy.GetReflection()->ListFields(policy, &given);
  if (given.empty()) return absl::OkStatus();
  return InvalidField(
      Join(path, given[0]->name()),
      "goes with a budget: dense, target_sparsity, top_k_blocks, token_budget "
      "or threshold");
}

absl::StatusOr<Budget> DecodeBudget(const v1::SparsityPolicy& policy,
                                    absl::string_view path) {
  Budget budget;
  switch (policy.budget_case()) {
    case v1::SparsityPolicy::kDense:
    case v1::SparsityPolicy::BUDGET_NOT_SET:
      return budget;
    case v1::SparsityPolicy::kTargetSparsity:
      budget.kind = BudgetKind::kTargetSparsity;
      budget.target_sparsity = policy.target_sparsity();
      if (IsShare(budget.target_sparsity)) return budget;
      return OutOfRange(path, "target_sparsity", "[0, 1)",
                        budget.target_sparsity);
    case v1::SparsityPolicy::kTopKBlocks:
      budget.kind = BudgetKind::kTopKBlocks;
      budget.top_k_blocks = policy.top_k_blocks();
      if (budget.top_k_blocks >= 1 && budget.top_k_blocks <= kMaxTopKBlocks) {
        return budget;
      }
      return OutOfRange(path, "top_k_blocks", "[1, 1048576]",
                        budget.top_k_blocks);
    case v1::SparsityPolicy::kTokenBudget:
      budget.kind = BudgetKind::kTokenBudget;
      budget.token_budget = policy.token_budget();
      if (budget.token_budget >= kMinTokenBudget &&
          budget.token_budget <= kMaxTokenBudget) {
        return budget;
      }
      return OutOfRange(path, "token_budget", "[64, 67108864]",
                        budget.token_budget);
    case v1::SparsityPolicy::kThreshold:
      budget.kind = BudgetKind::kThreshold;
      budget.threshold = policy.threshold();
      if (IsShare(budget.threshold)) return budget;
      return OutOfRange(path, "threshold", "[0, 1)", budget.threshold);
  }
  return InvalidField(Join(path, "budget"), "is unknown");
}

absl::StatusOr<GateChoice> DecodeLabel(v1::GateLabel label,
                                       absl::string_view path) {
  switch (label) {
    case v1::GATE_LABEL_STABLE:
      return GateChoice{GateChoice::Kind::kStable, ""};
    case v1::GATE_LABEL_CANARY:
      return GateChoice{GateChoice::Kind::kCanary, ""};
    default:
      return InvalidField(Join(path, "label"), "must be STABLE or CANARY");
  }
}

absl::StatusOr<GateChoice> DecodeBuiltin(v1::BuiltinGate builtin,
                                         absl::string_view path) {
  switch (builtin) {
    case v1::BUILTIN_GATE_MEAN_POOL:
      return GateChoice{GateChoice::Kind::kMeanPool, ""};
    case v1::BUILTIN_GATE_ORACLE_MAX:
      return GateChoice{GateChoice::Kind::kOracleMax, ""};
    case v1::BUILTIN_GATE_ORACLE_MASS:
      return GateChoice{GateChoice::Kind::kOracleMass, ""};
    default:
      return InvalidField(Join(path, "builtin"),
                          "must be MEAN_POOL, ORACLE_MAX or ORACLE_MASS");
  }
}

absl::Status DecodeGate(const v1::SparsityPolicy& policy,
                        absl::string_view path, SparsityPolicy& out) {
  switch (policy.gate_case()) {
    case v1::SparsityPolicy::kGateSet:
      if (!IsGateSetName(policy.gate_set())) {
        return InvalidField(Join(path, "gate_set"),
                            "must be models/{model}/gateSets/{id}");
      }
      out.gate = GateChoice{GateChoice::Kind::kNamed, policy.gate_set()};
      return absl::OkStatus();
    case v1::SparsityPolicy::kLabel: {
      SEER_ASSIGN_OR_RETURN(out.gate, DecodeLabel(policy.label(), path));
      return absl::OkStatus();
    }
    case v1::SparsityPolicy::kBuiltin: {
      SEER_ASSIGN_OR_RETURN(out.gate, DecodeBuiltin(policy.builtin(), path));
      return absl::OkStatus();
    }
    case v1::SparsityPolicy::GATE_NOT_SET:
      return absl::OkStatus();
  }
  return InvalidField(Join(path, "gate"), "is unknown");
}

void EncodeBudget(const Budget& budget, v1::SparsityPolicy& out) {
  switch (budget.kind) {
    case BudgetKind::kDense:
      out.mutable_dense();
      return;
    case BudgetKind::kTargetSparsity:
      out.set_target_sparsity(budget.target_sparsity);
      return;
    case BudgetKind::kTopKBlocks:
      out.set_top_k_blocks(budget.top_k_blocks);
      return;
    case BudgetKind::kTokenBudget:
      out.set_token_budget(budget.token_budget);
      return;
    case BudgetKind::kThreshold:
      out.set_threshold(budget.threshold);
      return;
  }
}

void EncodeGate(const GateChoice& gate, v1::SparsityPolicy& out) {
  switch (gate.kind) {
    case GateChoice::Kind::kStable:
      out.set_label(v1::GATE_LABEL_STABLE);
      return;
    case GateChoice::Kind::kCanary:
      out.set_label(v1::GATE_LABEL_CANARY);
      return;
    case GateChoice::Kind::kNamed:
      out.set_gate_set(gate.name);
      return;
    case GateChoice::Kind::kMeanPool:
      out.set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
      return;
    case GateChoice::Kind::kOracleMax:
      out.set_builtin(v1::BUILTIN_GATE_ORACLE_MAX);
      return;
    case GateChoice::Kind::kOracleMass:
      out.set_builtin(v1::BUILTIN_GATE_ORACLE_MASS);
      return;
  }
}

v1::Allocation EncodeAllocation(Allocation allocation) {
  return allocation == Allocation::kProfiled ? v1::ALLOCATION_PROFILED
                                             : v1::ALLOCATION_UNIFORM;
}

v1::DenseFallback EncodeFallback(DenseFallback fallback) {
  switch (fallback) {
    case DenseFallback::kNone:
      return v1::DENSE_FALLBACK_NONE;
    case DenseFallback::kShortPrompt:
      return v1::DENSE_FALLBACK_SHORT_PROMPT;
    case DenseFallback::kNearDense:
      return v1::DENSE_FALLBACK_NEAR_DENSE;
  }
  return v1::DENSE_FALLBACK_UNSPECIFIED;
}

v1::SparsityPolicy EncodeEffective(const EffectivePolicy& effective) {
  v1::SparsityPolicy out;
  EncodeBudget(effective.budget, out);
  if (effective.gate == kMeanPool) {
    out.set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
  } else if (effective.gate == kOracleMaxName) {
    out.set_builtin(v1::BUILTIN_GATE_ORACLE_MAX);
  } else if (effective.gate == kOracleMassName) {
    out.set_builtin(v1::BUILTIN_GATE_ORACLE_MASS);
  } else if (!effective.gate.empty()) {
    out.set_gate_set(effective.gate);
  }
  out.set_allocation(EncodeAllocation(effective.allocation));
  out.set_sink_blocks(effective.sink_blocks);
  out.set_dense_last_blocks(effective.dense_last_blocks);
  return out;
}

}  // namespace

BudgetKind AskedBudget(const v1::SparsityPolicy& policy) {
  switch (policy.budget_case()) {
    case v1::SparsityPolicy::kDense:
    case v1::SparsityPolicy::BUDGET_NOT_SET:
      return BudgetKind::kDense;
    case v1::SparsityPolicy::kTargetSparsity:
      return BudgetKind::kTargetSparsity;
    case v1::SparsityPolicy::kTopKBlocks:
      return BudgetKind::kTopKBlocks;
    case v1::SparsityPolicy::kTokenBudget:
      return BudgetKind::kTokenBudget;
    case v1::SparsityPolicy::kThreshold:
      return BudgetKind::kThreshold;
  }
  return BudgetKind::kDense;
}

absl::StatusOr<SparsityPolicy> DecodePolicy(const v1::SparsityPolicy& policy,
                                            absl::string_view path) {
  SparsityPolicy out;
  SEER_RETURN_IF_ERROR(CheckHasBudget(policy, path));
  SEER_ASSIGN_OR_RETURN(out.budget, DecodeBudget(policy, path));
  SEER_RETURN_IF_ERROR(DecodeGate(policy, path, out));
  switch (policy.allocation()) {
    case v1::ALLOCATION_UNSPECIFIED:
      break;
    case v1::ALLOCATION_UNIFORM:
      out.allocation = Allocation::kUniform;
      break;
    case v1::ALLOCATION_PROFILED:
      out.allocation = Allocation::kProfiled;
      break;
    default:
      return InvalidField(Join(path, "allocation"),
                          "must be UNIFORM or PROFILED");
  }
  if (policy.has_sink_blocks()) {
    out.sink_blocks = policy.sink_blocks();
    if (*out.sink_blocks < 0 || *out.sink_blocks > kMaxSinkBlocks) {
      return OutOfRange(path, "sink_blocks", "[0, 16]", *out.sink_blocks);
    }
  }
  if (policy.has_dense_last_blocks()) {
    out.dense_last_blocks = policy.dense_last_blocks();
    if (*out.dense_last_blocks < 0 ||
        *out.dense_last_blocks > kMaxDenseLastBlocks) {
      return OutOfRange(path, "dense_last_blocks", "[0, 1048576]",
                        *out.dense_last_blocks);
    }
  }
  return out;
}

v1::SparsityPolicy EncodePolicy(const SparsityPolicy& policy) {
  v1::SparsityPolicy out;
  EncodeBudget(policy.budget, out);
  if (policy.gate) EncodeGate(*policy.gate, out);
  if (policy.allocation)
    out.set_allocation(EncodeAllocation(*policy.allocation));
  if (policy.sink_blocks) out.set_sink_blocks(*policy.sink_blocks);
  if (policy.dense_last_blocks) {
    out.set_dense_last_blocks(*policy.dense_last_blocks);
  }
  return out;
}

v1::SparsityReport EncodeReport(const SparsityReport& report,
                                bool policy_was_sent) {
  v1::SparsityReport out;
  if (policy_was_sent)
    *out.mutable_requested() = EncodePolicy(report.requested);
  *out.mutable_effective() = EncodeEffective(report.effective);
  out.set_realized_sparsity(report.RealizedSparsity());
  out.set_blocks_visible(report.Visible());
  out.set_blocks_selected(report.Selected());
  out.set_tiles_computed(report.tiles_computed);
  out.set_tiles_reused(report.tiles_reused);
  out.mutable_layers()->Reserve(static_cast<int>(report.layers.size()));
  for (const LayerBlocks& layer : report.layers) {
    v1::LayerSparsity* entry = out.add_layers();
    entry->set_blocks_visible(layer.visible);
    entry->set_blocks_selected(layer.selected);
  }
  out.set_gate(report.effective.gate);
  out.set_gate_version(report.effective.gate_version);
  out.set_closest_feasible(report.closest_feasible);
  out.set_dense_fallback(EncodeFallback(report.effective.dense_fallback));
  return out;
}

}  // namespace seer
