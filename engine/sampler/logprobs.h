// Log-probabilities of the model's own distribution.
#ifndef SEER_ENGINE_SAMPLER_LOGPROBS_H_
#define SEER_ENGINE_SAMPLER_LOGPROBS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/request.h"
#include "engine/token.h"

namespace seer {

// The entry of `token` under softmax(logits), with the `num_top` >= 0 most
// likely tokens (all, if there are fewer), best first. Equal logits are in
// order of id, in `top` and in `rank` alike. Texts are left empty: the caller
// knows the tokenizer. O(vocabulary), whatever num_top. Thread-safe.
// For a prompt: logits of the row at position i, token of position i + 1.
// INTERNAL: a logit that is not finite. INVALID_ARGUMENT: token out of range.
absl::StatusOr<LogprobEntry> ScoreToken(absl::Span<const float> logits,
                                        TokenId token, int32_t num_top);

// ln softmax(logits), in double and rounded to fp32. Thread-safe.
// INTERNAL: a logit that is not finite.
absl::StatusOr<std::vector<float>> LogDistribution(
    absl::Span<const float> logits);

}  // namespace seer

#endif  // SEER_ENGINE_SAMPLER_LOGPROBS_H_
