#include "client/commands/admin/wait_for_job.h"

#include "absl/strings/str_cat.h"
#include "client/connection/error_details.h"
#include "client/output/admin/resource_text.h"

namespace seer {
namespace {

constexpr absl::Duration kFrameInterval = absl::Seconds(1);

}  // namespace

absl::StatusOr<v1::CalibrationJob> WaitForJob(const AdminSession& admin,
                                              const std::string& name,
                                              JobProgress* progress) {
  absl::StatusOr<v1::CalibrationJob> job = admin.client().WatchCalibrationJob(
      name, kFrameInterval,
      [&](const v1::CalibrationJob& frame) { progress->ShowJob(frame); },
      admin.options());
  progress->Clear();
  if (absl::IsNotFound(job.status())) return job;
  if (!job.ok()) {
    return WithNote(job.status(),
                    absl::StrCat(name,
                                 " goes on; see seerctl jobs watch, pause or "
                                 "cancel ",
                                 name));
  }
  if (job->state() == v1::CALIBRATION_JOB_STATE_CANCELLED) {
    return absl::CancelledError(absl::StrCat(name, " was cancelled"));
  }
  if (job->state() == v1::CALIBRATION_JOB_STATE_FAILED) {
    return WithErrorInfo(absl::AbortedError(absl::StrCat(
                             name, " failed: ", job->failure().message())),
                         job->failure().reason(), {});
  }
  return job;
}

}  // namespace seer
