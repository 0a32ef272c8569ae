// What the engine itself requires of a request.
#ifndef SEER_ENGINE_LLAMA_ENGINE_REQUESTS_REQUEST_CHECKS_H_
#define SEER_ENGINE_LLAMA_ENGINE_REQUESTS_REQUEST_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/request.h"

namespace seer {

// INVALID_ARGUMENT with the field: an empty prompt, a token id outside
// [0, vocab_size), a count or a sampling option out of its range; with reason
// CONTEXT_TOO_LONG and the limit: prompt and max_tokens over `context_len`.
absl::Status CheckRequest(const GenerationRequest& request, int32_t vocab_size,
                          int64_t context_len);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_REQUESTS_REQUEST_CHECKS_H_
