#include "server/calibration_jobs/job_parts.h"

#include "base/status_macros.h"
#include "server/option_range.h"

namespace seer {
absl::Status JobOptions::Validate() const {
  if (folder.empty()) {
    return absl::InvalidArgumentError("calibration jobs need a folder");
  }
  SEER_RETURN_IF_ERROR(InRange("checkpoint_period", checkpoint_period,
                               absl::Milliseconds(10), absl::Hours(24)));
  SEER_RETURN_IF_ERROR(InRange("retry_delay", retry_delay,
                               absl::Milliseconds(10), absl::Hours(1)));
  SEER_RETURN_IF_ERROR(InRange("checkpoint_wait", checkpoint_wait,
                               absl::ZeroDuration(), absl::Hours(1)));
  SEER_RETURN_IF_ERROR(InRange("gate_slot_wait", gate_slot_wait,
                               absl::ZeroDuration(), absl::Hours(24)));
  return InRange("poll_period", poll_period, absl::Milliseconds(1),
                 absl::Seconds(1));
}

}  // namespace seer
