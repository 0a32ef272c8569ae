#include "server/port_file.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file/atomic_file.h"
#include "base/status_macros.h"

namespace seer {
namespace {

std::optional<struct stat> Look(const std::string& path) {
  struct stat found;
  if (stat(path.c_str(), &found) != 0) return std::nullopt;
  return found;
}

// Content would not tell: a successor may serve the same port.
bool IsSameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino &&
         a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

PortFile::PortFile(std::string path) : path_(std::move(path)) {}

PortFile::~PortFile() {
  if (!written_) return;
  const std::optional<struct stat> found = Look(path_);
  if (found && IsSameFile(*found, *written_)) unlink(path_.c_str());
}

absl::Status PortFile::Write(int port) {
  if (path_.empty()) return absl::OkStatus();
  const std::string line = absl::StrCat(port, "\n");
  SEER_RETURN_IF_ERROR(WriteFileAtomically(path_, {absl::string_view(line)}));
  written_ = Look(path_);
  return absl::OkStatus();
}

}  // namespace seer
