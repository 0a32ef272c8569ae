#include "server/flags/request_flags.h"

#include <cstdint>

#include "absl/flags/flag.h"
#include "server/codec/request_limits.h"

using seer::CompletionService;
using seer::RequestLimits;

// Each default's reason stands in server/codec/request_limits.h.
ABSL_FLAG(int32_t, max_n, RequestLimits().max_n, "Choices, [1, 128].");
ABSL_FLAG(int32_t, max_stop_strings, RequestLimits().max_stop_strings,
          "Stop strings, [0, 1024].");
ABSL_FLAG(int32_t, max_stop_string_bytes, RequestLimits().max_stop_string_bytes,
          "Bytes of each stop string, [1, 65536].");
ABSL_FLAG(int32_t, max_stop_token_ids, RequestLimits().max_stop_token_ids,
          "Stop token ids, [0, 65536].");
ABSL_FLAG(int32_t, max_logit_bias, RequestLimits().max_logit_bias,
          "Entries of logit_bias, [0, 1048576].");
ABSL_FLAG(int32_t, max_logprobs, RequestLimits().max_logprobs,
          "Alternatives for each token, [0, 1024].");
ABSL_FLAG(int32_t, max_chat_messages, RequestLimits().max_chat_messages,
          "Messages of a conversation, at least 1.");
ABSL_FLAG(int64_t, max_unary_response_bytes,
          RequestLimits().max_unary_response_bytes,
          "Bytes of a unary reply: what clients take.");
ABSL_FLAG(int32_t, default_max_tokens, RequestLimits().default_max_tokens,
          "New tokens of requests that do not say, at least 1.");
ABSL_FLAG(int32_t, num_tokenizer_threads,
          CompletionService::Options().num_tokenizer_threads,
          "Threads that read long texts, [1, 64].");
ABSL_FLAG(int32_t, max_waiting_texts,
          CompletionService::Options().max_waiting_texts,
          "Long texts that may wait for --num_tokenizer_threads, [1, 4096].");

namespace seer {
namespace {

RequestLimits Limits() {
  RequestLimits limits;
  limits.max_n = absl::GetFlag(FLAGS_max_n);
  limits.max_stop_strings = absl::GetFlag(FLAGS_max_stop_strings);
  limits.max_stop_string_bytes = absl::GetFlag(FLAGS_max_stop_string_bytes);
  limits.max_stop_token_ids = absl::GetFlag(FLAGS_max_stop_token_ids);
  limits.max_logit_bias = absl::GetFlag(FLAGS_max_logit_bias);
  limits.max_logprobs = absl::GetFlag(FLAGS_max_logprobs);
  limits.max_chat_messages = absl::GetFlag(FLAGS_max_chat_messages);
  limits.max_unary_response_bytes =
      absl::GetFlag(FLAGS_max_unary_response_bytes);
  limits.default_max_tokens = absl::GetFlag(FLAGS_default_max_tokens);
  return limits;
}

}  // namespace

CompletionService::Options ReadRequestFlags() {
  CompletionService::Options options;
  options.limits = Limits();
  options.num_tokenizer_threads = absl::GetFlag(FLAGS_num_tokenizer_threads);
  options.max_waiting_texts = absl::GetFlag(FLAGS_max_waiting_texts);
  return options;
}

}  // namespace seer
