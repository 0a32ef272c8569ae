#include "server/catalog/storage/blob_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/fault_point.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/catalog/storage/folder.h"
#include "server/catalog/storage/storage_error.h"

namespace seer {
namespace {

constexpr absl::string_view kPartial = ".partial";
constexpr size_t kReadBytes = 1 << 20;
// Writes are cut so that a crash can come within a chunk.
constexpr size_t kWriteBytes = 256 << 10;

// An open file, closed at the end.
class File {
 public:
  File(std::string path, int flags)
      : path_(std::move(path)),
        fd_(open(path_.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // Of the last call, which failed.
  absl::Status Error(absl::string_view action) const {
    const int error = errno;
    if (error == ENOENT) return absl::NotFoundError("no such blob");
    return StorageError(error, action, path_);
  }
  absl::StatusOr<int64_t> Size() const {
    struct stat info;
    if (fstat(fd_, &info) != 0) return Error("look at");
    return info.st_size;
  }
  absl::Status Sync() const {
    if (FaultPoint("blob.sync") || fdatasync(fd_) != 0) return Error("sync");
    return absl::OkStatus();
  }
  absl::Status WriteAt(int64_t offset, absl::string_view bytes) const {
    while (!bytes.empty()) {
      if (FaultPoint("blob.write")) return Error("write");
      const ssize_t written = pwrite(
          fd_, bytes.data(), std::min(bytes.size(), kWriteBytes), offset);
      if (written < 0) {
        if (errno == EINTR) continue;
        return Error("write");
      }
      offset += written;
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Digest(
      const std::function<bool()>& cancelled) const {
    Sha256 digest;
    std::vector<uint8_t> buffer(kReadBytes);
    for (int64_t offset = 0;;) {
      if (cancelled && cancelled()) return absl::CancelledError("cancelled");
      if (FaultPoint("blob.read")) return Error("read");
      const ssize_t size = pread(fd_, buffer.data(), buffer.size(), offset);
      if (size < 0) {
        if (errno == EINTR) continue;
        return Error("read");
      }
      if (size == 0) return digest.FinishHex();
      digest.Add(absl::MakeConstSpan(buffer.data(), size));
      offset += size;
    }
  }

 private:
  const std::string path_;
  const int fd_;
};

}  // namespace

bool IsServerMadeId(absl::string_view id) {
  return !id.empty() && id.size() <= 63 &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

absl::StatusOr<BlobStore> BlobStore::Open(const std::string& folder) {
  SEER_RETURN_IF_ERROR(MakeFolder(folder));
  return BlobStore(folder);
}

std::string BlobStore::PathOf(absl::string_view id) const {
  return absl::StrCat(folder_, "/", id);
}

std::string BlobStore::PartialPath(absl::string_view id) const {
  return absl::StrCat(folder_, "/", id, kPartial);
}

absl::Status BlobStore::Append(absl::string_view id, int64_t offset,
                               absl::string_view bytes) {
  const File file(PartialPath(id), O_WRONLY | (offset == 0 ? O_CREAT : 0));
  if (!file.is_open()) return file.Error("open");
  SEER_ASSIGN_OR_RETURN(const int64_t size, file.Size());
  if (size < offset) {
    return absl::InternalError(
        absl::StrCat("blob ", id, " has ", size, " bytes of ", offset));
  }
  if (size > offset && ftruncate(file.fd(), offset) != 0) {
    return file.Error("cut");
  }
  const absl::Status written = file.WriteAt(offset, bytes);
  // On a full disk others may need what there is.
  if (!written.ok() && ftruncate(file.fd(), offset) != 0) {
    return file.Error("cut");
  }
  return written;
}

absl::Status BlobStore::Sync(absl::string_view id) {
  {
    const File file(PartialPath(id), O_WRONLY);
    if (!file.is_open()) return file.Error("open");
    SEER_RETURN_IF_ERROR(file.Sync());
  }
  // The file may be new.
  return SyncFolder(folder_);
}

absl::Status BlobStore::Publish(absl::string_view id) {
  if (FaultPoint("blob.rename") ||
      rename(PartialPath(id).c_str(), PathOf(id).c_str()) != 0) {
    return StorageError(errno, "rename", PartialPath(id));
  }
  return SyncFolder(folder_);
}

absl::Status BlobStore::Seal(absl::string_view id, int64_t size,
                             absl::string_view sha256,
                             const std::function<bool()>& cancelled) {
  const bool whole = access(PathOf(id).c_str(), F_OK) == 0;
  {
    const File file(whole ? PathOf(id) : PartialPath(id), O_RDWR);
    if (!file.is_open()) return file.Error("open");
    SEER_ASSIGN_OR_RETURN(const int64_t file_size, file.Size());
    SEER_ASSIGN_OR_RETURN(const std::string digest, file.Digest(cancelled));
    if (file_size != size || digest != sha256) {
      return WithReason(absl::FailedPreconditionError(
                            "the content has another SHA-256 than it should"),
                        {"SHA256_MISMATCH", {}, {}});
    }
    if (whole) return SyncFolder(folder_);
    SEER_RETURN_IF_ERROR(file.Sync());
  }
  return Publish(id);
}

absl::StatusOr<std::string> BlobStore::Put(
    absl::string_view id, absl::Span<const absl::string_view> pieces) {
  absl::Cleanup remove = [this, id] { Remove(id).IgnoreError(); };
  Sha256 digest;
  {
    const File file(PartialPath(id), O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.is_open()) return file.Error("open");
    int64_t offset = 0;
    for (const absl::string_view piece : pieces) {
      SEER_RETURN_IF_ERROR(file.WriteAt(offset, piece));
      offset += static_cast<int64_t>(piece.size());
      digest.Add(absl::MakeConstSpan(
          reinterpret_cast<const uint8_t*>(piece.data()), piece.size()));
    }
    SEER_RETURN_IF_ERROR(file.Sync());
  }
  SEER_RETURN_IF_ERROR(Publish(id));
  std::move(remove).Cancel();
  return digest.FinishHex();
}

absl::Status BlobStore::Remove(absl::string_view id) {
  for (const std::string& path : {PathOf(id), PartialPath(id)}) {
    if (FaultPoint("blob.remove") ||
        (unlink(path.c_str()) != 0 && errno != ENOENT)) {
      return StorageError(errno, "remove", path);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> BlobStore::WholeSize(absl::string_view id) const {
  const File file(PathOf(id), O_RDONLY);
  if (!file.is_open()) return file.Error("open");
  return file.Size();
}

absl::StatusOr<std::string> BlobStore::DigestOf(absl::string_view id) const {
  const File file(PathOf(id), O_RDONLY);
  if (!file.is_open()) return file.Error("open");
  return file.Digest(/*cancelled=*/nullptr);
}

absl::StatusOr<std::vector<BlobStore::Entry>> BlobStore::List() const {
  DIR* const folder = opendir(folder_.c_str());
  if (folder == nullptr) return StorageError(errno, "list", folder_);
  const absl::Cleanup close_folder = [folder] { closedir(folder); };
  std::vector<Entry> entries;
  while (true) {
    errno = 0;
    const dirent* const next = readdir(folder);
    if (next == nullptr) {
      if (errno != 0) return StorageError(errno, "list", folder_);
      return entries;
    }
    absl::string_view id = next->d_name;
    const bool whole = !absl::ConsumeSuffix(&id, kPartial);
    struct stat info;
    if (!IsServerMadeId(id) ||
        fstatat(dirfd(folder), next->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(info.st_mode)) {
      continue;
    }
    entries.push_back({std::string(id), whole, info.st_size});
  }
}

}  // namespace seer
