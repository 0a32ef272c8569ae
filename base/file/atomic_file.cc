#include "base/file/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"

namespace seer {
namespace {

absl::Status ErrnoStatus(absl::string_view action, absl::string_view path) {
  const int error = errno;  // before anything that may change it
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", action, " ", path));
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WriteAll(int fd, absl::string_view rest, const std::string& path) {
  while (!rest.empty()) {
    const ssize_t written = write(fd, rest.data(), rest.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus("write", path);
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteAndSync(int fd, absl::Span<const absl::string_view> pieces,
                          const std::string& path) {
  for (const absl::string_view piece : pieces) {
    SEER_RETURN_IF_ERROR(WriteAll(fd, piece, path));
  }
  // mkostemp leaves the file to its owner alone.
  if (fchmod(fd, 0644) != 0) return ErrnoStatus("set the mode of", path);
  if (fsync(fd) != 0) return ErrnoStatus("sync", path);
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus("open", folder);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  if (fsync(fd) != 0) return ErrnoStatus("sync", folder);
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path,
                                 absl::Span<const absl::string_view> pieces) {
  std::string temporary = path + ".tmp.XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoStatus("create a temporary file beside", path);
  absl::Cleanup remove_temporary = [&temporary] { unlink(temporary.c_str()); };

  absl::Status written = WriteAndSync(fd, pieces, path);
  if (close(fd) != 0) written.Update(ErrnoStatus("close", path));
  SEER_RETURN_IF_ERROR(written);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("replace", path);
  }
  std::move(remove_temporary).Cancel();
  return SyncFolder(FolderOf(path));
}

}  // namespace seer
