// Which chat template a Jinja source is.
#ifndef SEER_ENGINE_TOKENIZER_CHAT_KNOWN_TEMPLATES_H_
#define SEER_ENGINE_TOKENIZER_CHAT_KNOWN_TEMPLATES_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

enum class ChatFormat {
  kChatMl,   // <|im_start|>role\n content <|im_end|>\n
  kLlama3,   // headers, contents trimmed
  kLlama31,  // the same after a system turn that states dates
};

struct KnownTemplate {
  ChatFormat format = ChatFormat::kChatMl;
  // ChatML: what the system says where the messages do not start with it.
  std::optional<std::string> default_system;
};

// FAILED_PRECONDITION: the source is none of the known templates. One is known
// by the digest of its tokens, ChatML's default system message left out of it,
// so a template that differs in anything that could matter is unknown.
absl::StatusOr<KnownTemplate> IdentifyTemplate(absl::string_view source);

// SHA-256, hex, of the tokens of a source, as the list of known templates has
// it. INVALID_ARGUMENT: as ReadJinjaTokens.
absl::StatusOr<std::string> TemplateDigest(absl::string_view source);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_CHAT_KNOWN_TEMPLATES_H_
