// Calibration jobs between the wire and the catalog's records.
#ifndef SEER_SERVER_CALIBRATION_JOBS_RPC_JOB_CODEC_H_
#define SEER_SERVER_CALIBRATION_JOBS_RPC_JOB_CODEC_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/calibration_jobs/job_view.h"
#include "server/catalog/calibration_records.h"

namespace seer {

// What CreateCalibrationJob asks for, defaults filled in.
struct NewJob {
  CalibrationSpec spec;
  RequestKey request;
  bool validate_only = false;
};

// `drawn_seed` is that of a job which names none. INVALID_ARGUMENT with the
// field's path: a value out of the range that gate_admin.proto says, or not a
// number; a field that is output only. NOT_FOUND: another model.
absl::StatusOr<NewJob> DecodeNewJob(
    const v1::CreateCalibrationJobRequest& request, const ModelInfo& model,
    uint64_t drawn_seed);

// WatchCalibrationJobRequest.min_interval, or its default. INVALID_ARGUMENT at
// "min_interval".
absl::StatusOr<absl::Duration> DecodeMinInterval(
    const v1::WatchCalibrationJobRequest& request);

// A record without an id is a job as it would be: it has no name.
v1::CalibrationJob EncodeJob(const JobView& view);

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RPC_JOB_CODEC_H_
