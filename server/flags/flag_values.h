// What values of flags stand for.
#ifndef SEER_SERVER_FLAGS_FLAG_VALUES_H_
#define SEER_SERVER_FLAGS_FLAG_VALUES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace seer {

// The bytes of a file; of no path, none. INVALID_ARGUMENT: it cannot be read.
absl::StatusOr<std::string> ReadFlagFile(const std::string& path);

// What would overflow stays out of every range.
int64_t BytesOfMib(int64_t mib);

}  // namespace seer

#endif  // SEER_SERVER_FLAGS_FLAG_VALUES_H_
