#include "engine/tokenizer/chat_template.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/text/utf8.h"

namespace seer {
namespace {

absl::Status CheckMessages(absl::Span<const ChatMessage> messages) {
  if (messages.empty()) {
    return absl::InvalidArgumentError("a chat needs at least one message");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    if (message.role != "system" && message.role != "user" &&
        message.role != "assistant") {
      return absl::InvalidArgumentError(absl::StrCat(
          "message ", i, ": the role must be system, user or assistant"));
    }
    const size_t invalid = FirstInvalidUtf8(message.content);
    if (invalid != message.content.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "message ", i, ": the content is not valid UTF-8 at byte ", invalid));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Make(const Tokenizer* tokenizer) {
  if (tokenizer->chat_template().empty()) {
    return absl::FailedPreconditionError("the model has no chat template");
  }
  SEER_ASSIGN_OR_RETURN(KnownTemplate known,
                        IdentifyTemplate(tokenizer->chat_template()));
  for (const absl::string_view token : ControlTokens(known.format)) {
    const std::optional<TokenId> id = tokenizer->TokenToId(token);
    if (!id || !tokenizer->IsSpecial(*id)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the chat template needs ", token,
                       ", which is no special token of the tokenizer"));
    }
  }
  if (known.format != ChatFormat::kChatMl && !tokenizer->bos()) {
    return absl::FailedPreconditionError(
        "the chat template needs a begin-of-text token");
  }
  return ChatTemplate(tokenizer, std::move(known));
}

absl::StatusOr<std::vector<PromptSegment>> ChatTemplate::Render(
    absl::Span<const ChatMessage> messages, const ChatOptions& options) const {
  SEER_RETURN_IF_ERROR(CheckMessages(messages));
  std::vector<ChatTurn> turns;
  turns.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    turns.push_back({message.role, message.content});
  }
  PromptFrame frame;
  frame.add_generation_prompt = options.add_generation_prompt;
  frame.date = options.date;
  if (const std::optional<TokenId> bos = tokenizer_->bos()) {
    frame.bos = std::string(tokenizer_->TokenBytes(*bos));
  }
  return RenderTurns(known_, turns, frame);
}

absl::StatusOr<std::vector<TokenId>> ChatTemplate::Encode(
    absl::Span<const ChatMessage> messages, const ChatOptions& options) const {
  SEER_ASSIGN_OR_RETURN(const std::vector<PromptSegment> segments,
                        Render(messages, options));
  std::vector<TokenId> tokens;
  for (const PromptSegment& segment : segments) {
    if (segment.control) {
      // Make saw to it that there is one.
      tokens.push_back(*tokenizer_->TokenToId(segment.text));
      continue;
    }
    SEER_ASSIGN_OR_RETURN(const std::vector<TokenId> text,
                          tokenizer_->Encode(segment.text, EncodeOptions{}));
    tokens.insert(tokens.end(), text.begin(), text.end());
  }
  return tokens;
}

absl::StatusOr<std::string> ChatTemplate::RenderText(
    absl::Span<const ChatMessage> messages, const ChatOptions& options) const {
  SEER_ASSIGN_OR_RETURN(const std::vector<PromptSegment> segments,
                        Render(messages, options));
  std::string text;
  for (const PromptSegment& segment : segments) {
    absl::StrAppend(&text, segment.text);
  }
  return text;
}

absl::string_view ChatTemplate::name() const {
  switch (known_.format) {
    case ChatFormat::kChatMl:
      return "chatml";
    case ChatFormat::kLlama3:
      return "llama-3";
    case ChatFormat::kLlama31:
      return "llama-3.1";
  }
  return "";
}

}  // namespace seer
