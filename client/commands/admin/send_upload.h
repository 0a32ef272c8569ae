#ifndef SEER_CLIENT_COMMANDS_ADMIN_SEND_UPLOAD_H_
#define SEER_CLIENT_COMMANDS_ADMIN_SEND_UPLOAD_H_

#include "absl/status/statusor.h"
#include "client/admin/upload_files.h"
#include "client/commands/admin/admin_session.h"
#include "client/output/admin/job_progress.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// UploadBytes of the files, with its progress. Where it can be gone on with,
// the error's message says so.
absl::StatusOr<v1::FinalizeUploadResponse> SendUpload(const AdminSession& admin,
                                                      const UploadFiles& files,
                                                      JobProgress* progress);

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_SEND_UPLOAD_H_
