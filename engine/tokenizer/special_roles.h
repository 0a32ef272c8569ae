// What the files beside tokenizer.json say: which tokens begin and end a text,
// and the chat template.
#ifndef SEER_ENGINE_TOKENIZER_SPECIAL_ROLES_H_
#define SEER_ENGINE_TOKENIZER_SPECIAL_ROLES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/token.h"

namespace seer {

struct SpecialRoles {
  std::optional<std::string> bos_token;  // by their text
  std::optional<std::string> eos_token;
  std::string chat_template;  // "" where there is none
};

// tokenizer_config.json; an empty text gives no roles. Of several templates the
// one named "default" counts.
// INVALID_ARGUMENT: a field of the wrong form; it is named.
absl::StatusOr<SpecialRoles> ParseTokenizerConfig(absl::string_view text);

// eos_token_id of generation_config.json: none, one or several.
// INVALID_ARGUMENT: as above.
absl::StatusOr<std::vector<TokenId>> ParseGenerationEos(absl::string_view text);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_SPECIAL_ROLES_H_
