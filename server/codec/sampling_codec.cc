#include "server/codec/sampling_codec.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {
namespace {

// The bias that forbids a token.
constexpr float kForbidden = -100.0f;

// False for NaN, as every comparison here.
bool InClosed(double value, double low, double high) {
  return value >= low && value <= high;
}

bool InOpenLow(double value, double low, double high) {
  return value > low && value <= high;
}

absl::Status OutOfRange(absl::string_view path, absl::string_view range,
                        double value) {
  return InvalidField(path, absl::StrCat("must be in ", range, ", is ", value));
}

absl::Status DecodeLogitBias(const v1::SamplingOptions& sampling,
                             const RequestContext& context,
                             SamplingOptions& out) {
  const int64_t limit = context.limits.max_logit_bias;
  const auto& bias = sampling.logit_bias();
  if (static_cast<int64_t>(bias.size()) > limit) {
    return InvalidField(
        "sampling.logit_bias",
        absl::StrCat("has ", bias.size(), " entries; at most ", limit));
  }
  for (const auto& [id, value] : bias) {
    const std::string path = absl::StrCat("sampling.logit_bias[", id, "]");
    if (id < 0 || id >= context.model->vocab_size) {
      return InvalidField(path, "is not a token of the vocabulary");
    }
    if (!InClosed(value, -100.0, 100.0)) {
      return OutOfRange(path, "[-100, 100]", value);
    }
    out.logit_bias.emplace_back(id, value);
  }
  // Maps have no order; requests that say the same are the same.
  std::sort(out.logit_bias.begin(), out.logit_bias.end());
  return absl::OkStatus();
}

// The options that narrow the distribution before the draw.
absl::Status DecodeTruncation(const v1::SamplingOptions& sampling,
                              const RequestContext& context,
                              SamplingOptions& out) {
  if (sampling.has_temperature()) out.temperature = sampling.temperature();
  if (!InClosed(out.temperature, 0.0, 2.0)) {
    return OutOfRange("sampling.temperature", "[0, 2]", out.temperature);
  }
  if (sampling.has_top_p()) out.top_p = sampling.top_p();
  if (!InOpenLow(out.top_p, 0.0, 1.0)) {
    return OutOfRange("sampling.top_p", "(0, 1]", out.top_p);
  }
  out.top_k = sampling.top_k();
  if (out.top_k < 0 || out.top_k > context.model->vocab_size) {
    return OutOfRange("sampling.top_k",
                      absl::StrCat("[0, ", context.model->vocab_size, "]"),
                      out.top_k);
  }
  out.min_p = sampling.min_p();
  if (!(out.min_p >= 0.0 && out.min_p < 1.0)) {
    return OutOfRange("sampling.min_p", "[0, 1)", out.min_p);
  }
  return absl::OkStatus();
}

absl::Status DecodePenalties(const v1::SamplingOptions& sampling,
                             SamplingOptions& out) {
  if (sampling.has_repetition_penalty()) {
    out.repetition_penalty = sampling.repetition_penalty();
  }
  if (!InOpenLow(out.repetition_penalty, 0.0, 2.0)) {
    return OutOfRange("sampling.repetition_penalty", "(0, 2]",
                      out.repetition_penalty);
  }
  out.presence_penalty = sampling.presence_penalty();
  if (!InClosed(out.presence_penalty, -2.0, 2.0)) {
    return OutOfRange("sampling.presence_penalty", "[-2, 2]",
                      out.presence_penalty);
  }
  out.frequency_penalty = sampling.frequency_penalty();
  if (!InClosed(out.frequency_penalty, -2.0, 2.0)) {
    return OutOfRange("sampling.frequency_penalty", "[-2, 2]",
                      out.frequency_penalty);
  }
  return absl::OkStatus();
}

absl::Status DecodeStopStrings(const v1::CompleteRequest& request,
                               const RequestLimits& limits,
                               GenerationRequest& out) {
  if (request.stop_strings_size() > limits.max_stop_strings) {
    return InvalidField(
        "stop_strings",
        absl::StrCat("has ", request.stop_strings_size(), " strings; at most ",
                     limits.max_stop_strings));
  }
  absl::flat_hash_set<absl::string_view> seen;
  for (int i = 0; i < request.stop_strings_size(); ++i) {
    const std::string& stop = request.stop_strings(i);
    const std::string path = absl::StrCat("stop_strings[", i, "]");
    if (stop.empty() ||
        static_cast<int64_t>(stop.size()) > limits.max_stop_string_bytes) {
      return InvalidField(
          path, absl::StrCat("has ", stop.size(), " bytes; must have 1 to ",
                             limits.max_stop_string_bytes));
    }
    if (!seen.insert(stop).second) {
      return InvalidField(path, "is listed twice");
    }
    out.stop_strings.push_back(stop);
  }
  return absl::OkStatus();
}

// Why `id` cannot be a stop id; "" where it can.
std::string StopIdConflict(TokenId id, const GenerationRequest& request,
                           const RequestContext& context) {
  if (id < 0 || id >= context.model->vocab_size) {
    return absl::StrCat("must be in [0, ", context.model->vocab_size,
                        "), the vocabulary");
  }
  if (std::count(request.stop_ids.begin(), request.stop_ids.end(), id) > 0) {
    return "is listed twice";
  }
  for (const auto& [biased, value] : request.sampling.logit_bias) {
    if (biased == id && value <= kForbidden) {
      return "is forbidden by its logit_bias of -100";
    }
  }
  const std::vector<TokenId>& ends = context.model->end_ids;
  if (request.ignore_eos &&
      std::find(ends.begin(), ends.end(), id) != ends.end()) {
    return "is an end token, which ignore_eos makes an ordinary one";
  }
  return "";
}

absl::Status DecodeAlternatives(int32_t value, const char* path, int32_t limit,
                                std::optional<int32_t>& out) {
  if (value < 0 || value > limit) {
    return OutOfRange(path, absl::StrCat("[0, ", limit, "]"), value);
  }
  out = value;
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeSampling(const v1::CompleteRequest& request,
                            const RequestContext& context,
                            GenerationRequest& out) {
  const v1::SamplingOptions& sampling = request.sampling();
  SEER_RETURN_IF_ERROR(DecodeTruncation(sampling, context, out.sampling));
  SEER_RETURN_IF_ERROR(DecodePenalties(sampling, out.sampling));
  SEER_RETURN_IF_ERROR(DecodeLogitBias(sampling, context, out.sampling));
  if (sampling.has_seed()) out.sampling.seed = sampling.seed();
  if (sampling.has_n()) out.num_choices = sampling.n();
  if (out.num_choices < 1 || out.num_choices > context.limits.max_n) {
    return OutOfRange("sampling.n",
                      absl::StrCat("[1, ", context.limits.max_n, "]"),
                      out.num_choices);
  }
  return absl::OkStatus();
}

absl::Status DecodeStops(const v1::CompleteRequest& request,
                         const RequestContext& context,
                         GenerationRequest& out) {
  SEER_RETURN_IF_ERROR(DecodeStopStrings(request, context.limits, out));
  out.ignore_eos = request.ignore_eos();
  const int limit = context.limits.max_stop_token_ids;
  if (request.stop_token_ids_size() > limit) {
    return InvalidField("stop_token_ids",
                        absl::StrCat("has ", request.stop_token_ids_size(),
                                     " ids; at most ", limit));
  }
  for (int i = 0; i < request.stop_token_ids_size(); ++i) {
    const TokenId id = request.stop_token_ids(i);
    const std::string conflict = StopIdConflict(id, out, context);
    if (!conflict.empty()) {
      return InvalidField(absl::StrCat("stop_token_ids[", i, "]"), conflict);
    }
    out.stop_ids.push_back(id);
  }
  return absl::OkStatus();
}

absl::Status DecodeLogprobs(const v1::CompleteRequest& request,
                            const RequestLimits& limits,
                            GenerationRequest& out) {
  if (request.has_logprobs()) {
    SEER_RETURN_IF_ERROR(DecodeAlternatives(
        request.logprobs(), "logprobs", limits.max_logprobs, out.num_logprobs));
  }
  if (request.has_prompt_logprobs()) {
    SEER_RETURN_IF_ERROR(
        DecodeAlternatives(request.prompt_logprobs(), "prompt_logprobs",
                           limits.max_logprobs, out.num_prompt_logprobs));
  }
  return absl::OkStatus();
}

}  // namespace seer
