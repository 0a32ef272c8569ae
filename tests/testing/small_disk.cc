#include "tests/testing/small_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace seer {
namespace {

absl::Status Error(const char* action) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", action));
}

// Keeps the user's id, without which there would be none to own files.
bool EnterUserNamespace() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  const auto write = [](const char* path, const std::string& text) {
    return static_cast<bool>(std::ofstream(path) << text << std::flush);
  };
  return write("/proc/self/setgroups", "deny") &&
         write("/proc/self/uid_map", absl::StrCat(user, " ", user, " 1")) &&
         write("/proc/self/gid_map", absl::StrCat(group, " ", group, " 1"));
}

}  // namespace

absl::Status SeparateMounts() {
  if (unshare(CLONE_NEWNS) != 0 && !EnterUserNamespace()) {
    return Error("have mounts of one's own");
  }
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Error("keep mounts from others");
  }
  return absl::OkStatus();
}

absl::Status MountSmallDisk(const std::string& folder, int64_t size) {
  const std::string options = absl::StrCat("size=", size);
  if (mount("none", folder.c_str(), "tmpfs", 0, options.c_str()) != 0) {
    return Error("mount a small disk");
  }
  return absl::OkStatus();
}

absl::Status LeaveFree(const std::string& folder, int64_t size) {
  const int fd =
      open((folder + "/ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Error("open the ballast");
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat ballast;
  struct statvfs disk;
  if (fstat(fd, &ballast) != 0 || fstatvfs(fd, &disk) != 0) {
    return Error("look at the disk");
  }
  const int64_t there = ballast.st_size;
  const int64_t free = static_cast<int64_t>(disk.f_bfree * disk.f_bsize);
  const int64_t wanted = std::max<int64_t>(there + free - size, 0);
  if (wanted <= there) {
    return ftruncate(fd, wanted) == 0 ? absl::OkStatus()
                                      : Error("make the ballast smaller");
  }
  errno = posix_fallocate(fd, there, wanted - there);
  return errno == 0 ? absl::OkStatus() : Error("make the ballast larger");
}

absl::Status MakeReadOnly(const std::string& folder) {
  const char* const path = folder.c_str();
  if (mount(path, path, nullptr, MS_BIND, nullptr) != 0 ||
      mount("none", path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) !=
          0) {
    return Error("make the folder read-only");
  }
  return absl::OkStatus();
}

absl::Status MakeWritable(const std::string& folder) {
  if (umount2(folder.c_str(), MNT_DETACH) != 0) {
    return Error("make the folder writable");
  }
  return absl::OkStatus();
}

}  // namespace seer
