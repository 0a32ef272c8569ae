// The documents of a dataset's file, read strictly and in bounded memory.
#ifndef SEER_SERVER_DATASET_DATASET_READER_H_
#define SEER_SERVER_DATASET_DATASET_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/token.h"
#include "server/catalog/records.h"

namespace seer {

// A document, or a part of a long one; never empty.
struct Document {
  std::string text;                // of kText and kJsonLines: valid UTF-8
  std::vector<TokenId> token_ids;  // of kTokenIds: of the vocabulary
  // The next part is of the same document. A text is cut after a newline where
  // there is one, else between two characters.
  bool continues = false;
};

// Reads one file from its start to its end. Not thread-safe; blocks on the
// disk. The formats are those of UploadFormat in gate_admin.proto.
//
//   SEER_ASSIGN_OR_RETURN(auto reader, DatasetReader::Open(path, format,
//   size)); Document document; while (true) {
//     SEER_ASSIGN_OR_RETURN(const bool any, reader->Next(document));
//     if (!any) break;
//     ...
//   }
class DatasetReader {
 public:
  // `vocab_size` bounds token ids. `cancelled`, if set, is asked before every
  // MiB that is read. INVALID_ARGUMENT: no format of datasets. NOT_FOUND and
  // the like: the file cannot be opened.
  static absl::StatusOr<std::unique_ptr<DatasetReader>> Open(
      const std::string& path, UploadFormat format, int32_t vocab_size,
      std::function<bool()> cancelled = nullptr);

  virtual ~DatasetReader() = default;

  // The next part, of about 1 MiB at most, or one line's document of 16 MiB.
  // False: there is no more. Empty documents are passed over.
  // INVALID_ARGUMENT: the content is wrong; the message names the byte, the
  // line or the record, counted from 1, and nothing else may be read.
  // INTERNAL: the disk. CANCELLED: `cancelled` said so.
  virtual absl::StatusOr<bool> Next(Document& document) = 0;
};

// What a whole file holds. Token ids are counted too, texts' tokens are not.
// Errors of the reader; INVALID_ARGUMENT: there is no document that is not
// empty. CANCELLED: `cancelled`, asked about every MiB, said so.
absl::StatusOr<DatasetFacts> InspectDataset(
    const std::string& path, UploadFormat format, int32_t vocab_size,
    const std::function<bool()>& cancelled);

}  // namespace seer

#endif  // SEER_SERVER_DATASET_DATASET_READER_H_
