#include "server/admin/gate_set_methods.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/admin/codec/gate_set_codec.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/wire_fields.h"

namespace seer {

GateSetMethods::GateSetMethods(Catalog* catalog, RolloutControl* rollouts,
                               std::string model)
    : catalog_(catalog), rollouts_(rollouts), model_(std::move(model)) {}

absl::StatusOr<GateSetRecord> GateSetMethods::Find(const std::string& name,
                                                   AdminCall& call) {
  call.SetResource(name);
  SEER_ASSIGN_OR_RETURN(const GateSetKey key, ParseGateSetName(name, "name"));
  absl::StatusOr<GateSetRecord> gate_set = catalog_->GetGateSet(key.id);
  if (absl::IsNotFound(gate_set.status()) ||
      (gate_set.ok() && !IsModel(key.model, gate_set->facts.model))) {
    return NoSuch("GateSet", name);
  }
  return gate_set;
}

absl::StatusOr<v1::GateSet> GateSetMethods::GetGateSet(
    const v1::GetGateSetRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const GateSetRecord gate_set,
                        Find(request.name(), call));
  SEER_ASSIGN_OR_RETURN(const Rollout rollout,
                        catalog_->GetRollout(gate_set.facts.model));
  return EncodeGateSet(gate_set, rollout);
}

absl::StatusOr<v1::ListGateSetsResponse> GateSetMethods::ListGateSets(
    const v1::ListGateSetsRequest& request, AdminCall& call) {
  call.SetResource(request.parent());
  SEER_ASSIGN_OR_RETURN(std::string model,
                        ParseModelName(request.parent(), "parent"));
  if (IsModel(model, model_)) model = model_;
  SEER_ASSIGN_OR_RETURN(const PageRequest page,
                        DecodePage(request.page_size(), request.page_token()));
  SEER_ASSIGN_OR_RETURN(const Page<GateSetRecord> gate_sets,
                        catalog_->ListGateSets(model, page));
  SEER_ASSIGN_OR_RETURN(const Rollout rollout, catalog_->GetRollout(model));
  v1::ListGateSetsResponse response;
  for (const GateSetRecord& gate_set : gate_sets.items) {
    *response.add_gate_sets() = EncodeGateSet(gate_set, rollout);
  }
  response.set_next_page_token(gate_sets.next_token);
  return response;
}

absl::StatusOr<google::protobuf::Empty> GateSetMethods::DeleteGateSet(
    const v1::DeleteGateSetRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const GateSetRecord gate_set,
                        Find(request.name(), call));
  SEER_RETURN_IF_ERROR(catalog_->DeleteGateSet(gate_set.id));
  return google::protobuf::Empty();
}

absl::StatusOr<v1::ValidateGateSetResponse> GateSetMethods::ValidateGateSet(
    const v1::ValidateGateSetRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const GateSetRecord gate_set,
                        Find(request.name(), call));
  v1::ValidateGateSetResponse response;
  if (gate_set.facts.model != model_) {
    *response.mutable_problem() = EncodeFailure(
        {"OTHER_MODEL", "the gate set is of a model that is not served"});
    return response;
  }
  const absl::Status checked = rollouts_->Check(gate_set.id);
  if (checked.ok()) {
    response.set_valid(true);
    return response;
  }
  if (!absl::IsFailedPrecondition(checked)) return checked;
  SEER_ASSIGN_OR_RETURN(const GateSetRecord now,
                        catalog_->GetGateSet(gate_set.id));
  const auto reason = ReasonOf(checked);
  const bool says_why = reason && (reason->reason == "DAMAGED" ||
                                   reason->reason == "ORACLE_NOT_ALLOWED");
  *response.mutable_problem() = EncodeFailure(
      now.damage.value_or(Failure{says_why ? reason->reason : "OTHER_MODEL",
                                  std::string(checked.message())}));
  return response;
}

absl::Status GateSetMethods::CheckRolloutName(const std::string& name,
                                              absl::string_view field,
                                              AdminCall& call) {
  call.SetResource(name);
  SEER_ASSIGN_OR_RETURN(const std::string model,
                        ParseGateRolloutName(name, field));
  return IsModel(model, model_) ? absl::OkStatus()
                                : NoSuch("GateRollout", name);
}

absl::StatusOr<v1::GateRollout> GateSetMethods::GetGateRollout(
    const v1::GetGateRolloutRequest& request, AdminCall& call) {
  SEER_RETURN_IF_ERROR(CheckRolloutName(request.name(), "name", call));
  SEER_ASSIGN_OR_RETURN(const Rollout rollout, catalog_->GetRollout(model_));
  return EncodeRollout(model_, rollout);
}

absl::StatusOr<v1::GateRollout> GateSetMethods::UpdateGateRollout(
    const v1::UpdateGateRolloutRequest& request, AdminCall& call) {
  SEER_RETURN_IF_ERROR(CheckRolloutName(request.gate_rollout().name(),
                                        "gate_rollout.name", call));
  SEER_ASSIGN_OR_RETURN(const RolloutChange change,
                        DecodeRolloutChange(request, model_));
  const absl::StatusOr<Rollout> rollout =
      rollouts_->Update(change, absl::Now());
  SEER_RETURN_IF_ERROR(InMessage(rollout.status(), "gate_rollout"));
  return EncodeRollout(model_, *rollout);
}

absl::StatusOr<v1::GateRollout> GateSetMethods::RollbackGateRollout(
    const v1::RollbackGateRolloutRequest& request, AdminCall& call) {
  SEER_RETURN_IF_ERROR(CheckRolloutName(request.name(), "name", call));
  SEER_ASSIGN_OR_RETURN(
      const Rollout rollout,
      rollouts_->RollBack(request.etag(), request.validate_only(),
                          absl::Now()));
  return EncodeRollout(model_, rollout);
}

absl::StatusOr<v1::ListGateRolloutRevisionsResponse>
GateSetMethods::ListGateRolloutRevisions(
    const v1::ListGateRolloutRevisionsRequest& request, AdminCall& call) {
  SEER_RETURN_IF_ERROR(CheckRolloutName(request.name(), "name", call));
  SEER_ASSIGN_OR_RETURN(const PageRequest page,
                        DecodePage(request.page_size(), request.page_token()));
  SEER_ASSIGN_OR_RETURN(const Page<RolloutRevision> revisions,
                        catalog_->ListRolloutRevisions(model_, page));
  v1::ListGateRolloutRevisionsResponse response;
  for (const RolloutRevision& revision : revisions.items) {
    *response.add_revisions() = EncodeRevision(model_, revision);
  }
  response.set_next_page_token(revisions.next_token);
  return response;
}

}  // namespace seer
