// Chat messages as a model's prompt.
#ifndef SEER_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_
#define SEER_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/token.h"
#include "engine/tokenizer/chat/known_templates.h"
#include "engine/tokenizer/chat/turns.h"
#include "engine/tokenizer/tokenizer.h"

namespace seer {

struct ChatMessage {
  std::string role;     // "system", "user" or "assistant"
  std::string content;  // UTF-8
};

struct ChatOptions {
  // End with the opening of the assistant's turn.
  bool add_generation_prompt = true;

  // For templates that state today's date: the text to put, e.g. "26 Jul 2024".
  // Unset: the template's own constant.
  std::optional<std::string> date;
};

// The templates this build knows, recognised by comparing the Jinja source,
// token by token, with the known ones: it is never run. Immutable, thread-safe.
class ChatTemplate {
 public:
  // FAILED_PRECONDITION: `tokenizer` has no chat template, an unknown one, or
  // lacks a token that the template needs. There is no fallback.
  // `tokenizer` must outlive the template.
  static absl::StatusOr<ChatTemplate> Make(const Tokenizer* tokenizer);

  // The prompt's ids. Contents are encoded without special tokens: a message
  // cannot forge a turn. Other text of the prompt is exactly RenderText's.
  // INVALID_ARGUMENT: no message, an unknown role, content that is not UTF-8;
  // the message's index is named.
  absl::StatusOr<std::vector<TokenId>> Encode(
      absl::Span<const ChatMessage> messages, const ChatOptions& options) const;

  // The prompt as text, for people: control tokens spelled out, so contents
  // that spell one look the same. Errors as Encode.
  absl::StatusOr<std::string> RenderText(absl::Span<const ChatMessage> messages,
                                         const ChatOptions& options) const;

  // "chatml", "llama-3" or "llama-3.1".
  absl::string_view name() const;

 private:
  ChatTemplate(const Tokenizer* tokenizer, KnownTemplate known)
      : tokenizer_(tokenizer), known_(std::move(known)) {}

  absl::StatusOr<std::vector<PromptSegment>> Render(
      absl::Span<const ChatMessage> messages, const ChatOptions& options) const;

  const Tokenizer* tokenizer_;
  KnownTemplate known_;
};

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_
