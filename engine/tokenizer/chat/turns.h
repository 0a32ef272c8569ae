// The parts of a chat prompt: control tokens and the text between them.
#ifndef SEER_ENGINE_TOKENIZER_CHAT_TURNS_H_
#define SEER_ENGINE_TOKENIZER_CHAT_TURNS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/tokenizer/chat/known_templates.h"

namespace seer {

// A message whose role is "system", "user" or "assistant".
struct ChatTurn {
  absl::string_view role;
  absl::string_view content;  // UTF-8
};

struct PromptSegment {
  bool control = false;
  std::string text;  // a control token's own text, or text that never is one
};

// Text that a template writes at the begin of a prompt; see ChatOptions.
struct PromptFrame {
  bool add_generation_prompt = true;
  std::string bos;                  // Llama 3
  std::optional<std::string> date;  // Llama 3.1
};

// What `known` makes of `turns`, of which there is at least one. No two
// neighbouring segments are text, so text is tokenized as in one string.
std::vector<PromptSegment> RenderTurns(const KnownTemplate& known,
                                       absl::Span<const ChatTurn> turns,
                                       const PromptFrame& frame);

// The control tokens that prompts of `format` hold, but for begin-of-text.
absl::Span<const absl::string_view> ControlTokens(ChatFormat format);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_CHAT_TURNS_H_
