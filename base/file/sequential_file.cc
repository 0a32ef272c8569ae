#include "base/file/sequential_file.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace seer {

absl::StatusOr<SequentialFile> SequentialFile::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, "cannot open the file");
  }
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  return SequentialFile(descriptor);
}

SequentialFile::SequentialFile(SequentialFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

SequentialFile& SequentialFile::operator=(SequentialFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

SequentialFile::~SequentialFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<size_t> SequentialFile::Read(size_t size, std::string& buffer) {
  const size_t before = buffer.size();
  buffer.resize(before + size);
  size_t done = 0;
  while (done < size) {
    const ssize_t got = read(descriptor_, &buffer[before + done], size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      buffer.resize(before);
      return absl::InternalError("cannot read the file");
    }
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  buffer.resize(before + done);
  return done;
}

}  // namespace seer
