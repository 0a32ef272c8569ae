#include "client/commands/admin/send_upload.h"

#include "client/admin/upload_bytes.h"
#include "client/connection/error_details.h"

namespace seer {

absl::StatusOr<v1::FinalizeUploadResponse> SendUpload(const AdminSession& admin,
                                                      const UploadFiles& files,
                                                      JobProgress* progress) {
  absl::StatusOr<v1::FinalizeUploadResponse> response = UploadBytes(
      admin.client(), files.content(),
      [&](int64_t sent, int64_t size) { progress->ShowUpload(sent, size); },
      admin.options());
  progress->Clear();
  const absl::Status& status = response.status();
  if (absl::IsCancelled(status) || absl::IsDeadlineExceeded(status) ||
      absl::IsUnavailable(status)) {
    return WithNote(status, "the same upload, sent again, goes on from here");
  }
  return response;
}

}  // namespace seer
