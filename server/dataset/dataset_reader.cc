#include "server/dataset/dataset_reader.h"

#include <utility>

#include "base/file/sequential_file.h"
#include "base/status_macros.h"
#include "server/dataset/dataset_blocks.h"
#include "server/dataset/json_lines_reader.h"
#include "server/dataset/text_reader.h"
#include "server/dataset/token_id_reader.h"

namespace seer {

absl::StatusOr<std::unique_ptr<DatasetReader>> DatasetReader::Open(
    const std::string& path, UploadFormat format, int32_t vocab_size,
    std::function<bool()> cancelled) {
  SEER_ASSIGN_OR_RETURN(SequentialFile opened, SequentialFile::Open(path));
  DatasetBlocks file(std::move(opened), std::move(cancelled));
  std::unique_ptr<DatasetReader> reader;
  switch (format) {
    case UploadFormat::kText:
      reader = std::make_unique<TextReader>(std::move(file));
      break;
    case UploadFormat::kJsonLines:
      reader = std::make_unique<JsonLinesReader>(std::move(file));
      break;
    case UploadFormat::kTokenIds:
      reader = std::make_unique<TokenIdReader>(std::move(file), vocab_size);
      break;
    case UploadFormat::kSafetensors:
      return absl::InvalidArgumentError("safetensors hold no dataset");
  }
  return reader;
}

absl::StatusOr<DatasetFacts> InspectDataset(
    const std::string& path, UploadFormat format, int32_t vocab_size,
    const std::function<bool()>& cancelled) {
  SEER_ASSIGN_OR_RETURN(
      const std::unique_ptr<DatasetReader> reader,
      DatasetReader::Open(path, format, vocab_size, cancelled));
  DatasetFacts facts;
  int64_t num_tokens = 0;
  Document document;
  while (true) {
    SEER_ASSIGN_OR_RETURN(const bool any, reader->Next(document));
    if (!any) break;
    if (!document.continues) ++facts.num_documents;
    num_tokens += static_cast<int64_t>(document.token_ids.size());
  }
  if (facts.num_documents == 0) {
    return absl::InvalidArgumentError("the dataset holds no text");
  }
  if (format == UploadFormat::kTokenIds) facts.num_tokens = num_tokens;
  return facts;
}

}  // namespace seer
