#ifndef SEER_SERVER_ADMIN_GATE_SET_METHODS_H_
#define SEER_SERVER_ADMIN_GATE_SET_METHODS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/empty.pb.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/admin/call/admin_call.h"
#include "server/admin/rollout/rollout_control.h"
#include "server/catalog/catalog.h"

namespace seer {

// GateAdminService's unary methods of gate sets and the rollout; their contract
// is gate_admin.proto. Thread-safe. They block on the disk and the engine.
class GateSetMethods {
 public:
  // Pointers are borrowed. `model` is the {model} that is served.
  GateSetMethods(Catalog* catalog, RolloutControl* rollouts, std::string model);

  absl::StatusOr<v1::GateSet> GetGateSet(const v1::GetGateSetRequest& request,
                                         AdminCall& call);
  absl::StatusOr<v1::ListGateSetsResponse> ListGateSets(
      const v1::ListGateSetsRequest& request, AdminCall& call);
  absl::StatusOr<google::protobuf::Empty> DeleteGateSet(
      const v1::DeleteGateSetRequest& request, AdminCall& call);
  absl::StatusOr<v1::ValidateGateSetResponse> ValidateGateSet(
      const v1::ValidateGateSetRequest& request, AdminCall& call);

  absl::StatusOr<v1::GateRollout> GetGateRollout(
      const v1::GetGateRolloutRequest& request, AdminCall& call);
  absl::StatusOr<v1::GateRollout> UpdateGateRollout(
      const v1::UpdateGateRolloutRequest& request, AdminCall& call);
  absl::StatusOr<v1::GateRollout> RollbackGateRollout(
      const v1::RollbackGateRolloutRequest& request, AdminCall& call);
  absl::StatusOr<v1::ListGateRolloutRevisionsResponse> ListGateRolloutRevisions(
      const v1::ListGateRolloutRevisionsRequest& request, AdminCall& call);

 private:
  // By its name; of any model that the catalog has known.
  absl::StatusOr<GateSetRecord> Find(const std::string& name, AdminCall& call);
  // NOT_FOUND: a rollout of a model that is not served.
  absl::Status CheckRolloutName(const std::string& name,
                                absl::string_view field, AdminCall& call);

  Catalog* const catalog_;
  RolloutControl* const rollouts_;
  const std::string model_;
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_GATE_SET_METHODS_H_
