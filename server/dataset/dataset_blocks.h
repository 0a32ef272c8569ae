#ifndef SEER_SERVER_DATASET_DATASET_BLOCKS_H_
#define SEER_SERVER_DATASET_DATASET_BLOCKS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file/sequential_file.h"

namespace seer {

// A file that nobody need wait for the end of: however much of it a reader
// passes over, it can be cancelled at each block.
class DatasetBlocks {
 public:
  // `cancelled` may be empty: never.
  DatasetBlocks(SequentialFile file, std::function<bool()> cancelled)
      : file_(std::move(file)), cancelled_(std::move(cancelled)) {}

  // As SequentialFile::Read. CANCELLED: nothing was read.
  absl::StatusOr<size_t> Read(size_t size, std::string& buffer) {
    if (cancelled_ && cancelled_()) return absl::CancelledError("cancelled");
    return file_.Read(size, buffer);
  }

 private:
  SequentialFile file_;
  std::function<bool()> cancelled_;
};

}  // namespace seer

#endif  // SEER_SERVER_DATASET_DATASET_BLOCKS_H_
