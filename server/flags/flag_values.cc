#include "server/flags/flag_values.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace seer {

absl::StatusOr<std::string> ReadFlagFile(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
  }
  return text.str();
}

int64_t BytesOfMib(int64_t mib) {
  constexpr int64_t kTooMany = int64_t{1} << 42;
  return std::clamp(mib, int64_t{-1}, kTooMany) * (int64_t{1} << 20);
}

}  // namespace seer
