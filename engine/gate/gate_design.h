// The names of AttnGate designs: which pools of a block the gate reads.
#ifndef SEER_ENGINE_GATE_GATE_DESIGN_H_
#define SEER_ENGINE_GATE_GATE_DESIGN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/gate_score/gate_score.h"

namespace seer {

// Built in, without weights; not one of the 49.
inline constexpr char kMeanPoolDesign[] = "mean_pool";

// A design `Q{pools}_K{pools}`, each a non-empty subset of max, min, avg in
// that order: 7 x 7 = 49 of them, e.g. Qavg_Kmaxminavg.
struct GateDesign {
  PoolSet query_pools;
  PoolSet key_pools;

  std::string Name() const;
};

// INVALID_ARGUMENT, with the text in the message, for any other name.
absl::StatusOr<GateDesign> ParseGateDesign(absl::string_view name);

// False of mean_pool and of the oracles: there is nothing to train, and a gate
// set of such a design is nothing but a budget profile.
bool HasWeights(absl::string_view design);

// All 49, each once.
std::vector<GateDesign> AllGateDesigns();

}  // namespace seer

#endif  // SEER_ENGINE_GATE_GATE_DESIGN_H_
