#include "server/catalog/storage/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "base/fault_point.h"
#include "server/catalog/storage/storage_error.h"

namespace seer {

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return SyncFolder(path + "/..");
  if (errno == EEXIST) return absl::OkStatus();
  return StorageError(errno, "make", path);
}

absl::Status SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return StorageError(errno, "open", path);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  if (FaultPoint("folder.sync") || fsync(fd) != 0) {
    return StorageError(errno, "sync", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RealPath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) return StorageError(error.value(), "open", path);
  return real.string();
}

}  // namespace seer
