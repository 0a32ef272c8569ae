#ifndef SEER_BASE_FILE_MAPPED_FILE_H_
#define SEER_BASE_FILE_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace seer {

// A whole file in memory, read-only, mapped rather than read: its pages are
// loaded as they are touched and shared with other processes.
class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED and the like: the file cannot be opened.
  // INVALID_ARGUMENT: it is not a regular file. Messages name the path.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Valid as long as this object or one it was moved to. Starts at a multiple
  // of the page size; of an empty file it is empty. The file must not be cut
  // short meanwhile: touching what is gone raises SIGBUS.
  absl::Span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  const uint8_t* data_;  // null where size_ is 0
  size_t size_;          // bytes
};

}  // namespace seer

#endif  // SEER_BASE_FILE_MAPPED_FILE_H_
