#include "server/catalog/storage/disk_reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "base/fault_point.h"
#include "base/logging.h"

namespace seer {
namespace {

// Makes a file whose blocks are allocated. Returns 0, or what errno would say.
int Allocate(const std::string& path, int64_t size) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
           0600);
  if (fd < 0) return errno;
  const absl::Cleanup close_fd = [fd] { close(fd); };
  if (FaultPoint("reserve.take")) return errno;
  return posix_fallocate(fd, 0, size);
}

}  // namespace

void DiskReserve::Take() {
  MutexLock lock(&mutex_);
  if (taken_ || size_ == 0) return;
  struct stat info;
  if (lstat(path_.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
      info.st_size == size_) {
    taken_ = true;
    return;
  }
  const int error = Allocate(path_, size_);
  taken_ = error == 0;
  if (taken_) return;
  unlink(path_.c_str());
  Log(LogLevel::kWarning, "catalog: no room on the disk to keep in reserve",
      {{"bytes", size_}, {"error", std::strerror(error)}});
}

bool DiskReserve::Release() {
  MutexLock lock(&mutex_);
  if (!taken_ || unlink(path_.c_str()) != 0) return false;
  taken_ = false;
  return true;
}

}  // namespace seer
