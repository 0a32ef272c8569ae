// GPT-2's way of writing bytes as visible characters, so that a vocabulary of
// byte strings can be a JSON object: bytes that print stand for themselves, the
// others for U+0100 and up.
#ifndef SEER_ENGINE_TOKENIZER_BPE_BYTE_LEVEL_H_
#define SEER_ENGINE_TOKENIZER_BPE_BYTE_LEVEL_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace seer {

// One character (UTF-8) for each byte.
std::string ToByteLevel(absl::string_view bytes);

// The bytes that `token` spells; nothing where it has a character that stands
// for no byte, or is not UTF-8.
std::optional<std::string> FromByteLevel(absl::string_view token);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_BYTE_LEVEL_H_
