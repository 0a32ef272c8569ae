#ifndef SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_FAILURE_H_
#define SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_FAILURE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/catalog/calibration_records.h"

namespace seer {

// An error that fails a job for this reason, one of those that
// CalibrationJob.failure lists in gate_admin.proto.
absl::Status JobError(const char* reason, absl::string_view message);

// Whether the catalog, or whoever else keeps a job's files, answered with
// trouble of the disk: nothing about the job is wrong, and the same call may do
// later. Of other rooms INTERNAL says something else.
bool IsTroubleOfDisk(const absl::Status& status);

// Why a job failed. An error with no reason that clients know is INTERNAL, in
// words that give nothing away.
Failure FailureOf(const absl::Status& error);

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_FAILURE_H_
