#include "client/output/report_file.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace seer {

absl::Status ReportFile::Open(const std::string& path) {
  path_ = path;
  if (path_.empty()) return absl::OkStatus();
  file_.open(path_, std::ios::binary | std::ios::trunc);
  if (file_.is_open()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot write ", path_, ": ", std::strerror(errno)));
}

absl::Status ReportFile::Write(absl::string_view text) {
  if (path_.empty()) return absl::OkStatus();
  file_.write(text.data(), static_cast<std::streamsize>(text.size()));
  file_.close();
  if (file_.good()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot write all of ", path_));
}

}  // namespace seer
