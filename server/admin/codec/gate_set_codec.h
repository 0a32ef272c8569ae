// Gate sets and rollouts between the wire and the catalog's records.
#ifndef SEER_SERVER_ADMIN_CODEC_GATE_SET_CODEC_H_
#define SEER_SERVER_ADMIN_CODEC_GATE_SET_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/gate_control.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/catalog/records.h"

namespace seer {

// What the catalog keeps of a file that the engine of `model` has validated.
GateSetFacts FactsOf(const GateFileFacts& file, absl::string_view model);

// `rollout` is that of the gate set's model: it says the labels.
v1::GateSet EncodeGateSet(const GateSetRecord& gate_set,
                          const Rollout& rollout);

v1::GateRollout EncodeRollout(absl::string_view model, const Rollout& rollout);
v1::GateRolloutRevision EncodeRevision(absl::string_view model,
                                       const RolloutRevision& revision);

// INVALID_ARGUMENT with the field's path. NOT_FOUND: a gate set of another
// model. The model itself is for the caller to compare.
absl::StatusOr<RolloutChange> DecodeRolloutChange(
    const v1::UpdateGateRolloutRequest& request, absl::string_view model);

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_CODEC_GATE_SET_CODEC_H_
