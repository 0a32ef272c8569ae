#include "engine/llama_engine/gates/slot_gate_control.h"

#include <memory>
#include <utility>

#include "base/logging.h"
#include "base/status_macros.h"

namespace seer {

SlotGateControl::SlotGateControl(GateSetTarget target, GateSlots* slots,
                                 Inbox* inbox)
    : target_(std::move(target)), slots_(slots), inbox_(inbox) {}

GateFileFacts SlotGateControl::FactsOf(const GateSet& set) const {
  GateFileFacts facts;
  facts.name = set.name;
  facts.version = set.version;
  facts.design = set.gate->design();
  facts.fingerprint = target_.fingerprint;  // or it would not have loaded
  facts.has_profile = set.profile.has_value();
  facts.num_bytes = set.num_bytes;
  facts.target = set.provenance.target;
  facts.loss = set.provenance.loss;
  facts.dataset_sha256 = set.provenance.dataset_sha256;
  facts.dataset_tokens = set.provenance.dataset_tokens;
  facts.steps = set.provenance.steps;
  facts.seed = set.provenance.seed;
  facts.tool_version = set.provenance.tool_version;
  return facts;
}

absl::StatusOr<GateFileFacts> SlotGateControl::Validate(
    const std::string& path) const {
  SEER_ASSIGN_OR_RETURN(const std::shared_ptr<const GateSet> set,
                        LoadGateSet(path, target_));
  return FactsOf(*set);
}

absl::StatusOr<GateFileFacts> SlotGateControl::Install(
    const std::string& path) {
  SEER_ASSIGN_OR_RETURN(const std::shared_ptr<const GateSet> set,
                        LoadGateSet(path, target_));
  SEER_RETURN_IF_ERROR(
      inbox_->RunBetweenSteps([&] { return slots_->Install(set); }));
  Log(LogLevel::kInfo, "a gate set is installed",
      {{"gate_set", set->name}, {"gate_version", set->version}});
  return FactsOf(*set);
}

absl::Status SlotGateControl::Remove(const std::string& name) {
  SEER_RETURN_IF_ERROR(slots_->Remove(name));
  Log(LogLevel::kInfo, "a gate set is removed", {{"gate_set", name}});
  return absl::OkStatus();
}

absl::Status SlotGateControl::SetRouting(const GateRouting& routing) {
  SEER_RETURN_IF_ERROR(slots_->SetRouting(routing));
  Log(LogLevel::kInfo, "requests are routed to gate sets",
      {{"stable", routing.stable},
       {"canary", routing.canary},
       {"canary_fraction", routing.canary_fraction}});
  return absl::OkStatus();
}

GateRouting SlotGateControl::routing() const { return slots_->routing(); }

}  // namespace seer
