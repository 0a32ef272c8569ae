// What ranks blocks where no gate does: the true attention.
#ifndef SEER_ENGINE_GATE_ORACLE_H_
#define SEER_ENGINE_GATE_ORACLE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/gate/gate.h"
#include "engine/sparsity_policy.h"

namespace seer {

// By which target of kernels/attention_pooling/attention_pooling.h.
enum class Oracle { kNone, kMax, kMass };

// kNone: the name, or the design, of anything else.
Oracle OracleNamed(absl::string_view name);

// FAILED_PRECONDITION, ORACLE_NOT_ALLOWED, with the name as the resource.
absl::Status OracleNotAllowed(absl::string_view name);

// Holds an oracle's place in a gate set, whose profile is for it. Scores
// nothing, and keeps nothing beside the pages.
class OracleGate final : public Gate {
 public:
  // Not kNone.
  explicit OracleGate(Oracle oracle) : oracle_(oracle) {}

  std::string design() const override {
    return oracle_ == Oracle::kMax ? kOracleMaxName : kOracleMassName;
  }
  GateLayer layer(int32_t) const override { return GateLayer(); }
  int32_t num_entry_heads() const override { return 0; }

 private:
  const Oracle oracle_;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_ORACLE_H_
