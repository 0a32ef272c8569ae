#include "engine/gate/policy/gate_table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/hash/sha256.h"
#include "engine/errors.h"

namespace seer {
namespace {

absl::Status NoGateSet(absl::string_view label) {
  return WithResource(
      absl::FailedPreconditionError(absl::StrCat(
          "no gate set stands behind the label ", label,
          ": name the built-in gate MEAN_POOL (seerctl: --gate=mean_pool), or "
          "have one installed and rolled out, or start the server with "
          "--gate_set")),
      "seer.v1.GateLabel", label);
}

absl::StatusOr<InstalledGateSetPtr> Behind(absl::string_view label,
                                           const InstalledGateSetPtr& set) {
  if (set == nullptr) return NoGateSet(label);
  return set;
}

}  // namespace

double CanaryPoint(absl::string_view request_id) {
  const std::string digest = Sha256Hex(
      {reinterpret_cast<const uint8_t*>(request_id.data()), request_id.size()});
  uint64_t bits = 0;
  // The hex digits are our own, so this cannot fail.
  (void)absl::SimpleHexAtoi(digest.substr(0, 16), &bits);
  return std::ldexp(static_cast<double>(bits >> 11), -53);
}

InstalledGateSetPtr GateTable::FindByName(absl::string_view name) const {
  const auto found = std::find_if(
      sets.begin(), sets.end(),
      [&](const InstalledGateSetPtr& set) { return set->set->name == name; });
  return found == sets.end() ? nullptr : *found;
}

absl::StatusOr<InstalledGateSetPtr> GateTable::Find(
    const std::optional<GateChoice>& choice,
    absl::string_view request_id) const {
  if (!choice.has_value()) {
    const bool is_canary =
        canary != nullptr && CanaryPoint(request_id) < canary_fraction;
    return Behind("STABLE", is_canary ? canary : stable);
  }
  switch (choice->kind) {
    case GateChoice::Kind::kStable:
      return Behind("STABLE", stable);
    case GateChoice::Kind::kCanary:
      return Behind("CANARY", canary);
    case GateChoice::Kind::kNamed: {
      InstalledGateSetPtr named = FindByName(choice->name);
      if (named != nullptr) return named;
      return WithResource(
          absl::NotFoundError(absl::StrCat("no gate set ", choice->name)),
          "seer.v1.GateSet", choice->name);
    }
    case GateChoice::Kind::kMeanPool:
      return mean_pool;
    case GateChoice::Kind::kOracleMax:
    case GateChoice::Kind::kOracleMass:
      break;
  }
  return absl::InternalError("unknown gate choice");
}

}  // namespace seer
