// From a dataset to the token sequences that a gate is trained on.
#ifndef SEER_SERVER_CALIBRATION_JOBS_TOKENS_DATASET_TOKENS_H_
#define SEER_SERVER_CALIBRATION_JOBS_TOKENS_DATASET_TOKENS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/token.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/calibration_jobs/tokens/token_file.h"
#include "server/catalog/records.h"

namespace seer {

// What stands around the documents of a text, as around those that the model
// was trained on. docs/design/calibration_jobs.md says why these.
struct DocumentMarks {
  // Before each document: begin-of-text, where the tokenizer's post-processor
  // puts it before a text (Llama 3 does, SmolLM2 does not).
  std::optional<TokenId> begin;
  // Between two documents: the special token <|end_of_text|> or <|endoftext|>,
  // else the first that ends a generation.
  std::optional<TokenId> end;
};
absl::StatusOr<DocumentMarks> MarksOf(const Tokenizer& tokenizer);

struct TokenizingOptions {
  std::string folder;        // for a scratch file of 4 bytes a token
  int64_t sequence_len = 0;  // tokens, >= 1
  int32_t vocab_size = 0;    // of the model: ids are below
};

// All of a dataset's documents, one after the other: texts tokenized, control
// tokens that they spell left as text, and marked; token ids as they are, since
// whoever made them knows their marks. Takes memory for a part of a document,
// whatever the dataset's size.
// CANCELLED: `cancelled`, asked for each part and MiB, said so.
// FAILED_PRECONDITION, DATASET_DAMAGED: the file is not what it was, or holds
// ids that the model has not. Errors of ScratchFile; INTERNAL also where the
// dataset cannot be read.
absl::StatusOr<std::shared_ptr<const TokenFile>> TokenizeDataset(
    const Dataset& dataset, const Tokenizer& tokenizer,
    const TokenizingOptions& options, const std::function<bool()>& cancelled);

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_TOKENS_DATASET_TOKENS_H_
