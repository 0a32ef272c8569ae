#include "server/calibration_jobs/tokens/scratch_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_point.h"
#include "server/catalog/storage/storage_error.h"
#include "server/random_id.h"

namespace seer {
namespace {

constexpr int kFlags = O_RDWR | O_CLOEXEC;

// For file systems that make no files without a name. A crash between the two
// calls leaves an empty file.
int OpenAndUnlink(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/scratch-", NewRandomId());
  const int fd = open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0600);
  if (fd >= 0) unlink(path.c_str());
  return fd;
}

}  // namespace

absl::StatusOr<ScratchFile> ScratchFile::OnDisk(const std::string& folder) {
  int fd = FaultPoint("scratch.open")
               ? -1
               : open(folder.c_str(), kFlags | O_TMPFILE, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
    fd = OpenAndUnlink(folder);
  }
  if (fd < 0) return StorageError(errno, "make a file in", folder);
  return ScratchFile(fd);
}

absl::StatusOr<ScratchFile> ScratchFile::InMemory() {
  const int fd = memfd_create("seer-scratch", MFD_CLOEXEC);
  if (fd < 0) return StorageError(errno, "make a file in", "memory");
  return ScratchFile(fd);
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

ScratchFile& ScratchFile::operator=(ScratchFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) close(fd_);
}

absl::Status ScratchFile::Append(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = FaultPoint("scratch.write")
                                ? -1
                                : write(fd_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return StorageError(errno, "write", "a scratch file");
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

std::string ScratchFile::path() const {
  return absl::StrCat("/proc/self/fd/", fd_);
}

}  // namespace seer
