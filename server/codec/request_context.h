#ifndef SEER_SERVER_CODEC_REQUEST_CONTEXT_H_
#define SEER_SERVER_CODEC_REQUEST_CONTEXT_H_

#include <cstdint>
#include <optional>

#include "engine/engine.h"
#include "engine/sparsity_policy.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/codec/request_limits.h"

namespace seer {

// What requests are read against. Everything is borrowed.
struct RequestContext {
  const ModelInfo* model = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;  // null: chat is not served
  RequestLimits limits;
  // What the engine takes for requests that have none; unset: dense.
  std::optional<SparsityPolicy> default_policy;
  // Of the longest token, see LongestTokenBytes: bounds a text's tokens from
  // below.
  int64_t longest_token_bytes = 0;
};

}  // namespace seer

#endif  // SEER_SERVER_CODEC_REQUEST_CONTEXT_H_
