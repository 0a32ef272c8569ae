#ifndef SEER_SERVER_DATASET_TEXT_READER_H_
#define SEER_SERVER_DATASET_TEXT_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/dataset/dataset_blocks.h"
#include "server/dataset/dataset_reader.h"

namespace seer {

// A file that is one document of UTF-8 without NUL, which a text never holds
// and most other files do.
class TextReader final : public DatasetReader {
 public:
  explicit TextReader(DatasetBlocks file) : file_(std::move(file)) {}

  absl::StatusOr<bool> Next(Document& document) override;

 private:
  DatasetBlocks file_;
  std::string ahead_;      // read, not yet given
  int64_t num_given_ = 0;  // bytes
  bool at_end_ = false;    // all of the file is read
};

}  // namespace seer

#endif  // SEER_SERVER_DATASET_TEXT_READER_H_
