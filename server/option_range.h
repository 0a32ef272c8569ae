// The check that options are within their ranges.
#ifndef SEER_SERVER_OPTION_RANGE_H_
#define SEER_SERVER_OPTION_RANGE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace seer {

// INVALID_ARGUMENT, naming the option, unless `value` is in [low, high].
inline absl::Status InRange(const char* name, int64_t value, int64_t low,
                            int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " must be in [", low, ", ", high, "], is ", value));
}
inline absl::Status InRange(const char* name, absl::Duration value,
                            absl::Duration low, absl::Duration high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      name, " must be in [", absl::FormatDuration(low), ", ",
      absl::FormatDuration(high), "], is ", absl::FormatDuration(value)));
}

}  // namespace seer

#endif  // SEER_SERVER_OPTION_RANGE_H_
