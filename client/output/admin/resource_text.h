// What the admin service says, for people: whole lines, ended by newlines.
#ifndef SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_TEXT_H_
#define SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_TEXT_H_

#include <string>
#include <vector>

#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// One resource, a fact a line.
std::string DatasetText(const v1::Dataset& dataset);
std::string CalibrationJobText(const v1::CalibrationJob& job);
std::string GateSetText(const v1::GateSet& gate_set);
std::string RolloutText(const v1::GateRollout& rollout);

// A line each, under a heading; "none" without any.
std::string DatasetsText(const std::vector<v1::Dataset>& datasets);
std::string CalibrationJobsText(const std::vector<v1::CalibrationJob>& jobs);
std::string GateSetsText(const std::vector<v1::GateSet>& gate_sets);
std::string RevisionsText(
    const std::vector<v1::GateRolloutRevision>& revisions);

// How far a job is, in one line without its end: "step 120/500, loss 0.03124,
// 8123 tokens/s, 4m10s left". The loss is the mean of the layers'. "" before
// there is anything to tell.
std::string ProgressText(const v1::CalibrationProgress& progress);

// "DIVERGED: the loss of layer 3 is not finite"
std::string FailureText(const v1::Failure& failure);

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_TEXT_H_
