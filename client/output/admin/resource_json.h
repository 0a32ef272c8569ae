// What the admin service says, as JSON: fields as docs/seerctl.md lists them.
#ifndef SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_JSON_H_
#define SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_JSON_H_

#include <vector>

#include "client/output/result_json.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

Json DatasetJson(const v1::Dataset& dataset);
Json CalibrationJobJson(const v1::CalibrationJob& job);
Json QualityJson(const v1::GateQuality& quality);
Json GateSetJson(const v1::GateSet& gate_set);
Json ValidationJson(const v1::ValidateGateSetResponse& validation);
Json RolloutJson(const v1::GateRollout& rollout);
Json RevisionJson(const v1::GateRolloutRevision& revision);

// {"datasets": [...]} and the like.
template <typename Entry>
Json ListJson(const char* name, const std::vector<Entry>& entries,
              Json (*to_json)(const Entry&)) {
  Json list = Json::array();
  for (const Entry& entry : entries) list.push_back(to_json(entry));
  return {{name, std::move(list)}};
}

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_JSON_H_
