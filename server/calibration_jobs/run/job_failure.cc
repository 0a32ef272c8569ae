#include "server/calibration_jobs/run/job_failure.h"

#include <optional>
#include <string>

#include "engine/errors.h"

namespace seer {
namespace {

constexpr const char* kReasons[] = {
    "DIVERGED",           "DATASET_TOO_SHORT",  "DATASET_DAMAGED",
    "CHECKPOINT_DAMAGED", "OUT_OF_MEMORY",      "CRASHED",
    "MODEL_CHANGED",      "ORACLE_NOT_ALLOWED", "UNKNOWN_SETTING",
};

}  // namespace

absl::Status JobError(const char* reason, absl::string_view message) {
  return WithReason(absl::FailedPreconditionError(message), {reason, {}, {}});
}

bool IsTroubleOfDisk(const absl::Status& status) {
  const std::optional<ErrorReason> reason = ReasonOf(status);
  return absl::IsInternal(status) ||
         (reason &&
          (reason->reason == "DISK_FULL" || reason->reason == "READ_ONLY"));
}

Failure FailureOf(const absl::Status& error) {
  if (const std::optional<ErrorReason> reason = ReasonOf(error)) {
    for (const char* const known : kReasons) {
      if (reason->reason == known) {
        return {known, std::string(error.message())};
      }
    }
  }
  return {"INTERNAL", "something went wrong in the server; its log says what"};
}

}  // namespace seer
