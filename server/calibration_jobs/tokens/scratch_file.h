#ifndef SEER_SERVER_CALIBRATION_JOBS_TOKENS_SCRATCH_FILE_H_
#define SEER_SERVER_CALIBRATION_JOBS_TOKENS_SCRATCH_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

// A file in no folder: it goes when the last of this object and its mappings
// does, or the process, however that ends. Not thread-safe.
class ScratchFile {
 public:
  // On the disk that `folder` is on. Errors of a disk as the catalog has them:
  // RESOURCE_EXHAUSTED, DISK_FULL; FAILED_PRECONDITION, READ_ONLY; INTERNAL.
  static absl::StatusOr<ScratchFile> OnDisk(const std::string& folder);
  // In memory.
  static absl::StatusOr<ScratchFile> InMemory();

  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&& other) noexcept;
  ~ScratchFile();

  // Errors as above; then the file must not be used any more.
  absl::Status Append(absl::string_view bytes);

  // A path by which this process, and no other user's, can open it as long as
  // this object lives.
  std::string path() const;

 private:
  explicit ScratchFile(int fd) : fd_(fd) {}

  int fd_;  // -1: moved from
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_TOKENS_SCRATCH_FILE_H_
