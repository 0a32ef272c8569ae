// Facts that travel with an absl::Status from the engine to whoever words the
// answer: payloads, so that the engine needs no wire types.
#ifndef SEER_ENGINE_ERRORS_H_
#define SEER_ENGINE_ERRORS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace seer {

// INVALID_ARGUMENT about one field of the request. `field` is its path in the
// names of the request's members: of a GenerationRequest in the engine
// ("policy.budget.target_sparsity", "stop_ids[2]"), of the message on the wire.
absl::Status InvalidField(absl::string_view field, absl::string_view message);
std::optional<std::string> FieldOf(const absl::Status& status);

// A machine-readable reason in UPPER_SNAKE_CASE (CONTEXT_TOO_LONG,
// PREDICTED_LATE, SLOW_READER, ...) and, where they say something, a limit and
// what was asked.
struct ErrorReason {
  std::string reason;
  std::optional<int64_t> limit;
  std::optional<int64_t> got;
};
absl::Status WithReason(absl::Status status, const ErrorReason& reason);
std::optional<ErrorReason> ReasonOf(const absl::Status& status);

// When to try again; > 0.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

// The resource that is missing or not usable, by name.
absl::Status WithResource(absl::Status status, absl::string_view type,
                          absl::string_view name);
struct ResourceName {
  std::string type;
  std::string name;
};
std::optional<ResourceName> ResourceOf(const absl::Status& status);

}  // namespace seer

#endif  // SEER_ENGINE_ERRORS_H_
