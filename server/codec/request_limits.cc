#include "server/codec/request_limits.h"

#include "server/option_range.h"

namespace seer {

absl::Status RequestLimits::Validate() const {
  constexpr int64_t kMiB = int64_t{1} << 20;
  absl::Status status;
  status.Update(InRange("max_n", max_n, 1, 128));
  status.Update(InRange("max_stop_strings", max_stop_strings, 0, 1024));
  status.Update(
      InRange("max_stop_string_bytes", max_stop_string_bytes, 1, 65536));
  status.Update(InRange("max_stop_token_ids", max_stop_token_ids, 0, 65536));
  status.Update(InRange("max_logit_bias", max_logit_bias, 0, 1048576));
  status.Update(InRange("max_logprobs", max_logprobs, 0, 1024));
  status.Update(InRange("max_chat_messages", max_chat_messages, 1, 1048576));
  status.Update(
      InRange("max_receive_bytes", max_receive_bytes, 1024, 1024 * kMiB));
  status.Update(InRange("max_unary_response_bytes", max_unary_response_bytes,
                        1024, 1024 * kMiB));
  status.Update(
      InRange("default_max_tokens", default_max_tokens, 1, int64_t{1} << 24));
  return status;
}

v1::Limits EncodeLimits(const RequestLimits& limits) {
  v1::Limits out;
  out.set_max_n(limits.max_n);
  out.set_max_stop_strings(limits.max_stop_strings);
  out.set_max_stop_string_bytes(limits.max_stop_string_bytes);
  out.set_max_stop_token_ids(limits.max_stop_token_ids);
  out.set_max_logit_bias(limits.max_logit_bias);
  out.set_max_logprobs(limits.max_logprobs);
  out.set_max_chat_messages(limits.max_chat_messages);
  out.set_max_receive_bytes(limits.max_receive_bytes);
  out.set_max_unary_response_bytes(limits.max_unary_response_bytes);
  out.set_default_max_tokens(limits.default_max_tokens);
  return out;
}

}  // namespace seer
