#ifndef SEER_SERVER_DATASET_TOKEN_ID_READER_H_
#define SEER_SERVER_DATASET_TOKEN_ID_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/dataset/dataset_blocks.h"
#include "server/dataset/dataset_reader.h"

namespace seer {

// Little-endian int32 ids in [0, vocab_size), with -1 between two documents.
class TokenIdReader final : public DatasetReader {
 public:
  TokenIdReader(DatasetBlocks file, int32_t vocab_size)
      : file_(std::move(file)), vocab_size_(vocab_size) {}

  absl::StatusOr<bool> Next(Document& document) override;

 private:
  // Looks at the next record. False at the end of the file.
  absl::StatusOr<bool> Peek(int32_t& record);
  void Pass() { position_ += sizeof(int32_t), ++num_passed_; }

  DatasetBlocks file_;
  const int32_t vocab_size_;
  std::string block_;
  size_t position_ = 0;     // in the block, bytes
  int64_t num_passed_ = 0;  // records
};

}  // namespace seer

#endif  // SEER_SERVER_DATASET_TOKEN_ID_READER_H_
