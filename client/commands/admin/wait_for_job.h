#ifndef SEER_CLIENT_COMMANDS_ADMIN_WAIT_FOR_JOB_H_
#define SEER_CLIENT_COMMANDS_ADMIN_WAIT_FOR_JOB_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/commands/admin/admin_session.h"
#include "client/output/admin/job_progress.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// Shows a job's progress until it has succeeded, and returns it. ABORTED with
// the failure's reason: it failed. CANCELLED: somebody cancelled it. An error
// of the call, an interrupt among them, leaves the job as it is, and its
// message says how to come back to it.
absl::StatusOr<v1::CalibrationJob> WaitForJob(const AdminSession& admin,
                                              const std::string& name,
                                              JobProgress* progress);

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_WAIT_FOR_JOB_H_
