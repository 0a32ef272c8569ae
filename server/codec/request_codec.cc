#include "server/codec/request_codec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/codec/policy_codec.h"
#include "server/codec/sampling_codec.h"

namespace seer {
namespace {

constexpr size_t kMaxClientRequestIdBytes = 128;

absl::Status DecodeClientRequestId(const std::string& id,
                                   GenerationRequest& out) {
  const bool printable = std::all_of(
      id.begin(), id.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
  if (id.size() > kMaxClientRequestIdBytes || !printable) {
    return InvalidField("client_request_id",
                        "must be at most 128 printable ASCII characters");
  }
  out.client_request_id = id;
  return absl::OkStatus();
}

absl::Status DecodeLengths(const v1::CompleteRequest& request,
                           const RequestContext& context,
                           GenerationRequest& out) {
  if (request.has_max_tokens()) {
    if (request.max_tokens() < 0 ||
        request.max_tokens() > context.model->context_len) {
      return InvalidField(
          "max_tokens",
          absl::StrCat("must be in [0, ", context.model->context_len, "], is ",
                       request.max_tokens()));
    }
    out.max_tokens = request.max_tokens();
  }
  if (request.min_tokens() < 0 ||
      (request.has_max_tokens() && request.min_tokens() > out.max_tokens)) {
    return InvalidField("min_tokens", "must be in [0, max_tokens]");
  }
  out.min_tokens = request.min_tokens();
  return absl::OkStatus();
}

absl::Status DecodePriority(v1::Priority priority, GenerationRequest& out) {
  switch (priority) {
    case v1::PRIORITY_UNSPECIFIED:
    case v1::PRIORITY_NORMAL:
      out.priority = Priority::kNormal;
      return absl::OkStatus();
    case v1::PRIORITY_HIGH:
      out.priority = Priority::kHigh;
      return absl::OkStatus();
    case v1::PRIORITY_LOW:
      out.priority = Priority::kLow;
      return absl::OkStatus();
    default:
      return InvalidField("priority", "must be HIGH, NORMAL or LOW");
  }
}

// "messages[3]" of the chat at `path`.
std::string MessagePath(absl::string_view path, int index) {
  return absl::StrCat(path, ".messages[", index, "]");
}

absl::StatusOr<std::vector<TokenId>> EncodeText(const std::string& text,
                                                bool parse_special,
                                                const RequestContext& context) {
  if (text.empty()) return InvalidField("text", "must not be empty");
  // Every token covers at most so many bytes: no need to read a text that
  // cannot fit.
  const int64_t at_least =
      static_cast<int64_t>(text.size()) / context.longest_token_bytes;
  if (at_least > context.model->context_len) {
    return WithReason(
        InvalidField("text", "has more tokens than the model's context"),
        {"CONTEXT_TOO_LONG", context.model->context_len, at_least});
  }
  EncodeOptions options;
  options.parse_special = parse_special;
  options.add_special = true;
  absl::StatusOr<std::vector<TokenId>> ids =
      context.tokenizer->Encode(text, options);
  if (!ids.ok() && absl::IsInvalidArgument(ids.status())) {
    return InvalidField("text", ids.status().message());
  }
  return ids;
}

absl::StatusOr<std::vector<TokenId>> EncodeChat(const v1::ChatPrompt& chat,
                                                const RequestContext& context) {
  SEER_ASSIGN_OR_RETURN(const std::vector<ChatMessage> messages,
                        DecodeChat(chat, "chat", context));
  ChatOptions options;
  options.add_generation_prompt = !chat.omit_generation_prompt();
  absl::StatusOr<std::vector<TokenId>> ids =
      context.chat_template->Encode(messages, options);
  if (!ids.ok() && absl::IsInvalidArgument(ids.status())) {
    return InvalidField("chat.messages", ids.status().message());
  }
  return ids;
}

// Checks the prompt and max_tokens against the context, and sets the default.
absl::Status FitContext(const v1::CompleteRequest& request,
                        const RequestContext& context, GenerationRequest& out) {
  const int64_t limit = context.model->context_len;
  const int64_t prompt_len = static_cast<int64_t>(out.prompt.size());
  if (!request.has_max_tokens()) {
    const int64_t room = std::max<int64_t>(limit - prompt_len, 1);
    out.max_tokens = static_cast<int32_t>(
        std::min<int64_t>(room, context.limits.default_max_tokens));
    if (out.min_tokens > out.max_tokens) {
      return InvalidField("min_tokens",
                          absl::StrCat("exceeds max_tokens, which is ",
                                       out.max_tokens, " by default"));
    }
  }
  const int64_t got = prompt_len + out.max_tokens;
  if (got <= limit) return absl::OkStatus();
  const std::string message =
      request.has_max_tokens()
          ? absl::StrCat("the prompt's ", prompt_len, " tokens and max_tokens ",
                         out.max_tokens, " exceed the context of ", limit)
          : absl::StrCat("the prompt's ", prompt_len,
                         " tokens leave no room in the context of ", limit);
  return WithReason(absl::InvalidArgumentError(message),
                    {"CONTEXT_TOO_LONG", limit, got});
}

}  // namespace

absl::StatusOr<GenerationRequest> DecodeOptions(
    const v1::CompleteRequest& request, const RequestContext& context) {
  GenerationRequest out;
  SEER_RETURN_IF_ERROR(CheckModelName(request.model(), *context.model));
  if (request.prompt_case() == v1::CompleteRequest::PROMPT_NOT_SET) {
    return InvalidField("prompt",
                        "must be set: one of text, chat and token_ids");
  }
  if (request.parse_special() && !request.has_text()) {
    return InvalidField("parse_special", "only goes with a text prompt");
  }
  SEER_RETURN_IF_ERROR(DecodeClientRequestId(request.client_request_id(), out));
  SEER_RETURN_IF_ERROR(DecodeLengths(request, context, out));
  SEER_RETURN_IF_ERROR(DecodePriority(request.priority(), out));
  SEER_RETURN_IF_ERROR(DecodeSampling(request, context, out));
  SEER_RETURN_IF_ERROR(DecodeStops(request, context, out));
  SEER_RETURN_IF_ERROR(DecodeLogprobs(request, context.limits, out));
  if (request.has_sparsity()) {
    SEER_ASSIGN_OR_RETURN(out.policy,
                          DecodePolicy(request.sparsity(), "sparsity"));
  }
  return out;
}

absl::Status DecodePrompt(const v1::CompleteRequest& request,
                          const RequestContext& context,
                          GenerationRequest& out) {
  switch (request.prompt_case()) {
    case v1::CompleteRequest::kText: {
      SEER_ASSIGN_OR_RETURN(
          out.prompt,
          EncodeText(request.text(), request.parse_special(), context));
      if (out.prompt.empty()) {
        return InvalidField("text", "must hold at least one token");
      }
      break;
    }
    case v1::CompleteRequest::kChat: {
      SEER_ASSIGN_OR_RETURN(out.prompt, EncodeChat(request.chat(), context));
      break;
    }
    case v1::CompleteRequest::kTokenIds: {
      const auto& ids = request.token_ids().ids();
      if (ids.empty()) {
        return InvalidField("token_ids.ids", "must hold at least one token");
      }
      SEER_ASSIGN_OR_RETURN(
          out.prompt, DecodeTokenIds(absl::MakeSpan(ids.data(), ids.size()),
                                     "token_ids.ids", *context.model));
      break;
    }
    case v1::CompleteRequest::PROMPT_NOT_SET:
      return InvalidField("prompt", "must be set");
  }
  return FitContext(request, context, out);
}

int64_t PromptTextBytes(const v1::CompleteRequest& request) {
  int64_t bytes = static_cast<int64_t>(request.text().size());
  for (const v1::ChatMessage& message : request.chat().messages()) {
    bytes += static_cast<int64_t>(message.content().size());
  }
  return bytes;
}

std::string ModelName(const ModelInfo& model) {
  return absl::StrCat("models/", model.model_id);
}

absl::Status CheckModelName(absl::string_view name, const ModelInfo& model) {
  if (name.empty() || name == ModelName(model)) return absl::OkStatus();
  return WithResource(absl::NotFoundError("this server has no such model"),
                      "seer.v1/Model", name.substr(0, 128));
}

absl::StatusOr<std::vector<ChatMessage>> DecodeChat(
    const v1::ChatPrompt& chat, absl::string_view path,
    const RequestContext& context) {
  if (context.chat_template == nullptr) {
    return absl::FailedPreconditionError(
        "the model has no chat template that this server knows");
  }
  const int limit = context.limits.max_chat_messages;
  if (chat.messages().empty() || chat.messages_size() > limit) {
    return InvalidField(absl::StrCat(path, ".messages"),
                        absl::StrCat("has ", chat.messages_size(),
                                     " messages; must have 1 to ", limit));
  }
  std::vector<ChatMessage> messages;
  messages.reserve(chat.messages_size());
  for (int i = 0; i < chat.messages_size(); ++i) {
    const v1::ChatMessage& message = chat.messages(i);
    const std::string& role = message.role();
    if (role != "system" && role != "user" && role != "assistant") {
      return InvalidField(MessagePath(path, i) + ".role",
                          "must be system, user or assistant");
    }
    messages.push_back({role, message.content()});
  }
  return messages;
}

absl::StatusOr<std::vector<TokenId>> DecodeTokenIds(
    absl::Span<const int32_t> ids, absl::string_view path,
    const ModelInfo& model) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= model.vocab_size) {
      return InvalidField(absl::StrCat(path, "[", i, "]"),
                          absl::StrCat("must be in [0, ", model.vocab_size,
                                       "), the vocabulary, is ", ids[i]));
    }
  }
  return std::vector<TokenId>(ids.begin(), ids.end());
}

absl::Status InWireTerms(const absl::Status& status,
                         const v1::CompleteRequest& request) {
  const std::optional<std::string> field = FieldOf(status);
  if (!field) return status;
  const std::pair<absl::string_view, absl::string_view> kNames[] = {
      {"prompt", "token_ids.ids"},
      {"num_choices", "sampling.n"},
      {"stop_ids", "stop_token_ids"},
      {"num_logprobs", "logprobs"},
      {"num_prompt_logprobs", "prompt_logprobs"},
      {"policy.budget", "sparsity"},
      {"policy", "sparsity"},
  };
  for (const auto& [engine_name, wire_name] : kNames) {
    absl::string_view rest = *field;
    if (!absl::ConsumePrefix(&rest, engine_name)) continue;
    if (!rest.empty() && rest[0] != '.' && rest[0] != '[') continue;
    std::string path = absl::StrCat(wire_name, rest);
    // Tokens of a text or a chat have no path of their own.
    if (engine_name == "prompt" && request.has_text()) path = "text";
    if (engine_name == "prompt" && request.has_chat()) path = "chat.messages";
    absl::Status renamed = InvalidField(path, status.message());
    status.ForEachPayload(
        [&](absl::string_view type, const absl::Cord& payload) {
          if (!renamed.GetPayload(type)) renamed.SetPayload(type, payload);
        });
    return renamed;
  }
  return status;
}

int64_t LongestTokenBytes(const Tokenizer& tokenizer) {
  size_t longest = 1;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    longest = std::max(longest, tokenizer.TokenBytes(id).size());
  }
  return static_cast<int64_t>(longest);
}

}  // namespace seer
