#ifndef SEER_SERVER_CODEC_REQUEST_LIMITS_H_
#define SEER_SERVER_CODEC_REQUEST_LIMITS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "proto/seer/v1/completion.pb.h"

namespace seer {

// What a request may ask at the most. A request over a limit is refused, never
// cut down to it.
struct RequestLimits {
  // Choices a request: each decodes beside the others.
  int32_t max_n = 16;
  // Stop strings and their length: bytes held back from the reader, and the
  // size of the automaton that finds them.
  int32_t max_stop_strings = 16;
  int32_t max_stop_string_bytes = 256;
  // Looked up for every token.
  int32_t max_stop_token_ids = 64;
  // Added to the logits of every token.
  int32_t max_logit_bias = 1024;
  // Alternatives reported a token: the size of the reply.
  int32_t max_logprobs = 20;
  // Each costs control tokens and a segment of the template.
  int32_t max_chat_messages = 4096;
  // Bytes of one request. gRPC refuses more.
  int64_t max_receive_bytes = int64_t{8} << 20;
  // Bytes of a unary reply: below the 4 MiB that clients take by default.
  int64_t max_unary_response_bytes = (int64_t{4} << 20) - (int64_t{64} << 10);
  // max_tokens of a request that has none, or what its prompt leaves of the
  // context where that is less.
  int32_t default_max_tokens = 256;

  // INVALID_ARGUMENT: a limit outside its sensible range, named.
  absl::Status Validate() const;
};

v1::Limits EncodeLimits(const RequestLimits& limits);

}  // namespace seer

#endif  // SEER_SERVER_CODEC_REQUEST_LIMITS_H_
