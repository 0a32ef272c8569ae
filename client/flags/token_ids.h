// Token ids as people write them.
#ifndef SEER_CLIENT_FLAGS_TOKEN_IDS_H_
#define SEER_CLIENT_FLAGS_TOKEN_IDS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

// Whole numbers separated by commas or white space; brackets around them are
// fine. INVALID_ARGUMENT names the first that is none; also where there is
// none at all.
absl::StatusOr<std::vector<int32_t>> ParseTokenIds(absl::string_view text);

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_TOKEN_IDS_H_
