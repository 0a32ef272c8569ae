#ifndef SEER_BASE_FILE_FILE_LOCK_H_
#define SEER_BASE_FILE_FILE_LOCK_H_

#include <string>

#include "absl/status/statusor.h"

namespace seer {

// Holds a file as one's own against all other holders, in this process and
// others, until it is destroyed or the process ends, however it ends. The file
// stays. (flock: a child made by fork keeps it too.)
class FileLock {
 public:
  // Makes the file where it is missing. ALREADY_EXISTS: another holds it. Else
  // as absl::ErrnoToStatus. Messages name the path.
  static absl::StatusOr<FileLock> Acquire(const std::string& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}

  int fd_;  // -1: moved from
};

}  // namespace seer

#endif  // SEER_BASE_FILE_FILE_LOCK_H_
