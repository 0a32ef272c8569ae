#include "engine/llama_engine/requests/request_checks.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {
namespace {

absl::Status CheckIds(absl::string_view field, const std::vector<TokenId>& ids,
                      int32_t vocab_size) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocab_size) continue;
    return InvalidField(
        absl::StrCat(field, "[", i, "]"),
        absl::StrCat("must be a token id below ", vocab_size, ", is ", ids[i]));
  }
  return absl::OkStatus();
}

// `ok` is written so that it is false for NaN.
absl::Status Require(bool ok, absl::string_view field,
                     absl::string_view expected) {
  if (ok) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("must be ", expected));
}

absl::Status CheckSampling(const SamplingOptions& s, int32_t vocab_size) {
  SEER_RETURN_IF_ERROR(Require(s.temperature >= 0 && s.temperature <= 2,
                               "sampling.temperature", "in [0, 2]"));
  SEER_RETURN_IF_ERROR(
      Require(s.top_p > 0 && s.top_p <= 1, "sampling.top_p", "in (0, 1]"));
  SEER_RETURN_IF_ERROR(Require(s.top_k >= 0, "sampling.top_k", "at least 0"));
  SEER_RETURN_IF_ERROR(
      Require(s.min_p >= 0 && s.min_p < 1, "sampling.min_p", "in [0, 1)"));
  SEER_RETURN_IF_ERROR(
      Require(s.repetition_penalty > 0 && s.repetition_penalty <= 2,
              "sampling.repetition_penalty", "in (0, 2]"));
  SEER_RETURN_IF_ERROR(
      Require(s.presence_penalty >= -2 && s.presence_penalty <= 2,
              "sampling.presence_penalty", "in [-2, 2]"));
  SEER_RETURN_IF_ERROR(
      Require(s.frequency_penalty >= -2 && s.frequency_penalty <= 2,
              "sampling.frequency_penalty", "in [-2, 2]"));
  for (const auto& [id, bias] : s.logit_bias) {
    SEER_RETURN_IF_ERROR(Require(id >= 0 && id < vocab_size,
                                 "sampling.logit_bias",
                                 "of token ids of the vocabulary"));
    SEER_RETURN_IF_ERROR(Require(bias >= -100 && bias <= 100,
                                 "sampling.logit_bias", "in [-100, 100]"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckRequest(const GenerationRequest& request, int32_t vocab_size,
                          int64_t context_len) {
  SEER_RETURN_IF_ERROR(
      Require(!request.prompt.empty(), "prompt", "at least one token"));
  const int64_t max_tokens = request.max_tokens;
  SEER_RETURN_IF_ERROR(Require(max_tokens >= 0, "max_tokens", "at least 0"));
  SEER_RETURN_IF_ERROR(
      Require(request.min_tokens >= 0 && request.min_tokens <= max_tokens,
              "min_tokens", "in [0, max_tokens]"));
  SEER_RETURN_IF_ERROR(
      Require(request.num_choices >= 1, "num_choices", "at least 1"));
  SEER_RETURN_IF_ERROR(Require(request.num_logprobs.value_or(0) >= 0,
                               "num_logprobs", "at least 0"));
  SEER_RETURN_IF_ERROR(Require(request.num_prompt_logprobs.value_or(0) >= 0,
                               "num_prompt_logprobs", "at least 0"));
  const int64_t tokens =
      static_cast<int64_t>(request.prompt.size()) + max_tokens;
  if (tokens > context_len) {
    return WithReason(
        InvalidField("max_tokens",
                     absl::StrCat("prompt and max_tokens make ", tokens,
                                  " tokens; the context is ", context_len)),
        {"CONTEXT_TOO_LONG", context_len, tokens});
  }
  SEER_RETURN_IF_ERROR(CheckIds("prompt", request.prompt, vocab_size));
  SEER_RETURN_IF_ERROR(CheckIds("stop_ids", request.stop_ids, vocab_size));
  return CheckSampling(request.sampling, vocab_size);
}

}  // namespace seer
