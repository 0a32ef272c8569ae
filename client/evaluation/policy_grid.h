// The policies that a measurement runs under: gates x allocations x densities,
// dense first.
#ifndef SEER_CLIENT_EVALUATION_POLICY_GRID_H_
#define SEER_CLIENT_EVALUATION_POLICY_GRID_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/seer/v1/completion.pb.h"
#include "proto/seer/v1/sparsity.pb.h"

namespace seer {

struct PolicyAxes {
  // Shares of the visible blocks that are read, in (0, 1]. 1 is dense, which
  // every grid has once.
  std::vector<double> densities;
  std::vector<std::string> gates;        // as SetGate takes them
  std::vector<std::string> allocations;  // as SetAllocation takes them
  // Unset: the server's defaults.
  std::optional<int32_t> sink_blocks;
  std::optional<int32_t> dense_last_blocks;

  // INVALID_ARGUMENT names what is out of range, unknown or given twice.
  absl::Status Validate() const;
};

struct GridPolicy {
  double density = 1;      // asked for
  std::string gate;        // "": dense
  std::string allocation;  // "": dense
  v1::SparsityPolicy policy;

  bool is_dense() const { return gate.empty(); }
  // "dense" or "mean_pool uniform": one word for every density.
  std::string Line() const;
};

struct PolicyGrid {
  // Dense, then by gate, by allocation, and by falling density.
  std::vector<GridPolicy> policies;
  // Pairs of axes that cannot be, a sentence each.
  std::vector<std::string> left_out;
};

// `model`, as the server describes it, says which gates have a budget profile:
// others are left out of the allocation "profiled". A gate set that `model`
// does not list stays in, for the server to refuse. INVALID_ARGUMENT: axes that
// are not valid.
absl::StatusOr<PolicyGrid> MakePolicyGrid(const PolicyAxes& axes,
                                          const v1::Model& model);

// Whether a realized density is further than 0.002 from the one asked for.
bool MissesTarget(double asked_density, double realized_density);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_POLICY_GRID_H_
