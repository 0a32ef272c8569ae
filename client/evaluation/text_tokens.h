// Texts from files, as the served model's tokens.
#ifndef SEER_CLIENT_EVALUATION_TEXT_TOKENS_H_
#define SEER_CLIENT_EVALUATION_TEXT_TOKENS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/completion/completion_client.h"

namespace seer {

struct TextFile {
  std::string name;     // of the file, without folder and extension
  std::string content;  // valid UTF-8
};

// The files of `paths`, in order; a folder stands for the regular files that
// lie in it, by name, but for hidden ones. INVALID_ARGUMENT: a text that is not
// UTF-8, two of one name, or none at all. NOT_FOUND: what cannot be read.
absl::StatusOr<std::vector<TextFile>> ReadTexts(
    absl::Span<const std::string> paths);

// The text's tokens, without a begin-of-text token. Errors are the call's.
absl::StatusOr<std::vector<int32_t>> TokensOf(const CompletionClient& client,
                                              const std::string& text,
                                              const CallOptions& options);

// What the model's tokenizer puts in front of a text: its begin-of-text token,
// or nothing. Errors are the call's.
absl::StatusOr<std::vector<int32_t>> BeginTokens(const CompletionClient& client,
                                                 const CallOptions& options);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_TEXT_TOKENS_H_
