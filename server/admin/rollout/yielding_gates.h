#ifndef SEER_SERVER_ADMIN_ROLLOUT_YIELDING_GATES_H_
#define SEER_SERVER_ADMIN_ROLLOUT_YIELDING_GATES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/gate_control.h"
#include "server/admin/rollout/rollout_control.h"

namespace seer {

// An engine's gate sets for calibration jobs, which measure new ones: where the
// device is full, what is loaded for a quick rollback only makes room. A set
// that the rollout has too, as where a job is repeated, stays installed for it.
class YieldingGates final : public GateControl {
 public:
  // Both are borrowed.
  YieldingGates(GateControl* gates, RolloutControl* rollouts)
      : gates_(gates), rollouts_(rollouts) {}

  absl::StatusOr<GateFileFacts> Validate(
      const std::string& path) const override {
    return gates_->Validate(path);
  }
  absl::StatusOr<GateFileFacts> Install(const std::string& path) override {
    absl::StatusOr<GateFileFacts> facts = gates_->Install(path);
    if (absl::IsResourceExhausted(facts.status()) && rollouts_->MakeRoom()) {
      facts = gates_->Install(path);
    }
    return facts;
  }
  absl::Status Remove(const std::string& name) override {
    return rollouts_->RemoveUnlessKept(name);
  }
  absl::Status SetRouting(const GateRouting& routing) override {
    return gates_->SetRouting(routing);
  }
  GateRouting routing() const override { return gates_->routing(); }

 private:
  GateControl* const gates_;
  RolloutControl* const rollouts_;
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_ROLLOUT_YIELDING_GATES_H_
