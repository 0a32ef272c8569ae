// The engine's GateControl: files read by the caller, sets put in slots by the
// engine thread.
#ifndef SEER_ENGINE_LLAMA_ENGINE_GATES_SLOT_GATE_CONTROL_H_
#define SEER_ENGINE_LLAMA_ENGINE_GATES_SLOT_GATE_CONTROL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/gate/gate_set.h"
#include "engine/gate_control.h"
#include "engine/llama_engine/gates/gate_slots.h"
#include "engine/llama_engine/requests/inbox.h"

namespace seer {

// Thread-safe. Validate, Remove and the routing wait for nobody.
class SlotGateControl final : public GateControl {
 public:
  // Borrows both.
  SlotGateControl(GateSetTarget target, GateSlots* slots, Inbox* inbox);

  absl::StatusOr<GateFileFacts> Validate(
      const std::string& path) const override;
  // Beside the interface's errors, those of Inbox::RunBetweenSteps.
  absl::StatusOr<GateFileFacts> Install(const std::string& path) override;
  absl::Status Remove(const std::string& name) override;
  absl::Status SetRouting(const GateRouting& routing) override;
  GateRouting routing() const override;

 private:
  GateFileFacts FactsOf(const GateSet& set) const;

  const GateSetTarget target_;
  GateSlots* const slots_;
  Inbox* const inbox_;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_GATES_SLOT_GATE_CONTROL_H_
