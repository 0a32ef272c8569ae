#ifndef SEER_BASE_FILE_SEQUENTIAL_FILE_H_
#define SEER_BASE_FILE_SEQUENTIAL_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seer {

// A file read from its start to its end. Unlike a mapped one it answers a disk
// that fails with an error, and keeps nothing in memory. Not thread-safe.
class SequentialFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED and the like: it cannot be opened. Messages
  // name no path.
  static absl::StatusOr<SequentialFile> Open(const std::string& path);

  SequentialFile(SequentialFile&& other) noexcept;
  SequentialFile& operator=(SequentialFile&& other) noexcept;
  ~SequentialFile();

  // Appends the next `size` bytes to `buffer`, or as many as are left, and
  // returns how many: fewer at the end of the file only. INTERNAL: the disk.
  absl::StatusOr<size_t> Read(size_t size, std::string& buffer);

 private:
  explicit SequentialFile(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace seer

#endif  // SEER_BASE_FILE_SEQUENTIAL_FILE_H_
