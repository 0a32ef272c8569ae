// The errors that the catalog answers callers with; see engine/errors.h.
#ifndef SEER_SERVER_CATALOG_REFUSALS_H_
#define SEER_SERVER_CATALOG_REFUSALS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/errors.h"

namespace seer {

// NOT_FOUND with ResourceInfo. `type` is "Upload", "Dataset", "CalibrationJob"
// or "GateSet".
inline absl::Status NotFound(absl::string_view type, absl::string_view id) {
  return WithResource(absl::NotFoundError(absl::StrCat("no such ", type)),
                      absl::StrCat("seer.v1.", type), id);
}

// FAILED_PRECONDITION, ABORTED and the like, with a reason.
inline absl::Status Refusal(absl::StatusCode code, const char* reason,
                            absl::string_view message) {
  return WithReason(absl::Status(code, message), {reason, {}, {}});
}

// RESOURCE_EXHAUSTED where `got` is above `limit`; `reason` is the quota's
// name.
inline absl::Status CheckQuota(const char* reason, absl::string_view what,
                               int64_t got, int64_t limit) {
  if (got <= limit) return absl::OkStatus();
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat("too many ", what)),
      {reason, limit, got});
}

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_REFUSALS_H_
