#ifndef SEER_SERVER_DATASET_JSON_LINES_READER_H_
#define SEER_SERVER_DATASET_JSON_LINES_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/dataset/dataset_blocks.h"
#include "server/dataset/dataset_reader.h"

namespace seer {

// A JSON object a line, whose member "text" is a document. A line beyond the
// limit is refused before more of it is read.
class JsonLinesReader final : public DatasetReader {
 public:
  static constexpr size_t kMaxLineBytes = size_t{16} << 20;

  explicit JsonLinesReader(DatasetBlocks file) : file_(std::move(file)) {}

  absl::StatusOr<bool> Next(Document& document) override;

 private:
  // The next line without its newline. False at the end of the file.
  absl::StatusOr<bool> NextLine(absl::string_view& line);
  absl::Status Wrong(absl::string_view problem) const;

  DatasetBlocks file_;
  std::string ahead_;  // read; lines before `position_` are done with
  size_t position_ = 0;
  int64_t num_lines_ = 0;  // the number of the last line
  bool at_end_ = false;    // all of the file is read
};

}  // namespace seer

#endif  // SEER_SERVER_DATASET_JSON_LINES_READER_H_
