#include "client/flags/prompt_flags.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/flags/text_input.h"
#include "client/flags/token_ids.h"

namespace seer {

void PromptFlags::AddTo(FlagSet* flags) {
  flags->Group("Prompt");
  flags->Add("prompt_file", &file_, "PATH",
             "read it from a file, or with - from standard input; an argument "
             "is added after it and an empty line");
  flags->Add("prompt_token_ids", &token_ids_, "IDS",
             "give it as token ids, separated by commas");
  flags->Add("parse_special", &parse_special_, "",
             "read control tokens spelled in the text as such");
}

void PromptFlags::AddChatTo(FlagSet* flags) {
  flags->Add("chat", &chat_, "",
             "send it as a user's turn through the model's chat template");
  flags->Add("system", &system_, "TEXT", "the same after a system message");
}

absl::StatusOr<std::string> PromptFlags::Text(
    absl::Span<const std::string> positional, std::istream& in) const {
  if (positional.size() > 1) {
    return absl::InvalidArgumentError(
        "more than one prompt: put it between quotes");
  }
  if (file_.empty() && positional.empty()) {
    return absl::InvalidArgumentError("no prompt");
  }
  std::string text;
  if (!file_.empty()) {
    SEER_ASSIGN_OR_RETURN(text, ReadTextFileOr(file_, in));
    if (!positional.empty()) absl::StrAppend(&text, "\n\n");
  }
  if (!positional.empty()) absl::StrAppend(&text, positional[0]);
  SEER_RETURN_IF_ERROR(CheckUtf8("the prompt", text));
  return text;
}

v1::ChatPrompt PromptFlags::Chat(const std::string& text) const {
  v1::ChatPrompt chat;
  if (!system_.empty()) {
    v1::ChatMessage* message = chat.add_messages();
    message->set_role("system");
    message->set_content(system_);
  }
  v1::ChatMessage* message = chat.add_messages();
  message->set_role("user");
  message->set_content(text);
  return chat;
}

absl::StatusOr<std::vector<int32_t>> PromptFlags::TokenIds(
    absl::Span<const std::string> positional) const {
  if (token_ids_.empty()) return std::vector<int32_t>();
  if (!file_.empty() || !positional.empty() || is_chat() || parse_special_) {
    return absl::InvalidArgumentError(
        "--prompt_token_ids goes with no other prompt flag or argument");
  }
  return ParseTokenIds(token_ids_);
}

absl::Status PromptFlags::Fill(absl::Span<const std::string> positional,
                               std::istream& in,
                               v1::CompleteRequest* request) const {
  SEER_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, TokenIds(positional));
  if (!ids.empty()) {
    request->mutable_token_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
    return absl::OkStatus();
  }
  if (is_chat() && parse_special_) {
    return absl::InvalidArgumentError(
        "--parse_special does not go with --chat or --system");
  }
  SEER_RETURN_IF_ERROR(CheckUtf8("--system", system_));
  SEER_ASSIGN_OR_RETURN(std::string text, Text(positional, in));
  if (is_chat()) {
    *request->mutable_chat() = Chat(text);
  } else {
    request->set_text(std::move(text));
    request->set_parse_special(parse_special_);
  }
  return absl::OkStatus();
}

}  // namespace seer
