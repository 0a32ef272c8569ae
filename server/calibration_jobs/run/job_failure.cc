#include "server/calibration_jobs/run/job_failure.h"

#include <optional>
#include <string>

#include "engine/errors.h"

namespace seer {
namespace {

constexpr const char* kReasons[] = {
    "DIVERGED",  "DATASET_TOO_SHORT",  "DATASET_DAMAGED", "DISK_FULL",
    "READ_ONLY", "CHECKPOINT_DAMAGED", "OUT_OF_MEMORY",   "QUOTA_GATE_SETS",
    "CRASHED",   "MODEL_CHANGED",
};

}  // namespace

absl::Status JobError(const char* reason, absl::string_view message) {
  return WithReason(absl::FailedPreconditionError(message), {reason, {}, {}});
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
