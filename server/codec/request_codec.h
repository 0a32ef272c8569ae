#ifndef SEER_SERVER_CODEC_REQUEST_CODEC_H_
#define SEER_SERVER_CODEC_REQUEST_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "proto/seer/v1/completion.pb.h"
#include "server/codec/request_context.h"

namespace seer {

// Errors of all functions: INVALID_ARGUMENT with the field's path (FieldOf),
// or with reason CONTEXT_TOO_LONG (ReasonOf); what else is said beside each.
// Pure and thread-safe.

// Everything but the prompt, max_tokens' default and what follows from its
// length. Quick whatever is sent: time is linear in the limits.
absl::StatusOr<GenerationRequest> DecodeOptions(
    const v1::CompleteRequest& request, const RequestContext& context);

// Reads the prompt into `out`, sets max_tokens where the request has none and
// checks both against the context. Takes time with the prompt's length.
// FAILED_PRECONDITION: chat, and the model has no known chat template.
absl::Status DecodePrompt(const v1::CompleteRequest& request,
                          const RequestContext& context,
                          GenerationRequest& out);

// Bytes that have to be tokenized: how much work DecodePrompt is.
int64_t PromptTextBytes(const v1::CompleteRequest& request);

// Empty names stand for the model served; another is NOT_FOUND with the
// resource. The name served is models/{model.model_id}.
absl::Status CheckModelName(absl::string_view name, const ModelInfo& model);
std::string ModelName(const ModelInfo& model);

// A conversation's messages, checked; `path` is the field it came from.
absl::StatusOr<std::vector<ChatMessage>> DecodeChat(
    const v1::ChatPrompt& chat, absl::string_view path,
    const RequestContext& context);

// Ids that must be tokens; `path` is the field they came from.
absl::StatusOr<std::vector<TokenId>> DecodeTokenIds(
    absl::Span<const int32_t> ids, absl::string_view path,
    const ModelInfo& model);

// An engine's error in the words of the request: field paths of
// GenerationRequest become those of CompleteRequest.
absl::Status InWireTerms(const absl::Status& status,
                         const v1::CompleteRequest& request);

// Over the whole vocabulary; at least 1.
int64_t LongestTokenBytes(const Tokenizer& tokenizer);

}  // namespace seer

#endif  // SEER_SERVER_CODEC_REQUEST_CODEC_H_
