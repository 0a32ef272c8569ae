// What the names and labels of gates stand for.
#ifndef SEER_ENGINE_GATE_POLICY_GATE_TABLE_H_
#define SEER_ENGINE_GATE_POLICY_GATE_TABLE_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/gate/gate_set.h"
#include "engine/gate/gate_state.h"
#include "engine/sparsity_policy.h"

namespace seer {

// A gate set where requests can use it. Held by each that does, to its last
// token.
struct InstalledGateSet {
  std::shared_ptr<const GateSet> set;
  GateState state;  // of set->gate
};
using InstalledGateSetPtr = std::shared_ptr<const InstalledGateSet>;

// Where a request stands among all, in [0, 1), uniform over ids: it uses the
// canary if this is below the canary's fraction. The first 53 bits of the id's
// SHA-256 as a binary fraction: the same in every process and version, and who
// was in a small fraction is in a larger one.
double CanaryPoint(absl::string_view request_id);

// All of it at one moment. Any thread may read a table that none writes.
struct GateTable {
  InstalledGateSetPtr mean_pool;          // built in, always there
  std::vector<InstalledGateSetPtr> sets;  // of files, as they were installed
  InstalledGateSetPtr stable;             // one of them; null: none
  InstalledGateSetPtr canary;             // another one; null: none
  double canary_fraction = 0.0;           // [0, 1]; 0 without a canary

  // Among `sets`; null: it is not there.
  InstalledGateSetPtr FindByName(absl::string_view name) const;

  // The gate set of a request. Without a choice it is the canary or the stable
  // one, as CanaryPoint says.
  // NOT_FOUND with the resource: a name that is not here. FAILED_PRECONDITION
  // with the resource: a label without a gate set behind it.
  absl::StatusOr<InstalledGateSetPtr> Find(
      const std::optional<GateChoice>& choice,
      absl::string_view request_id) const;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_POLICY_GATE_TABLE_H_
