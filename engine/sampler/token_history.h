// The tokens a choice has so far, as penalties count them.
#ifndef SEER_ENGINE_SAMPLER_TOKEN_HISTORY_H_
#define SEER_ENGINE_SAMPLER_TOKEN_HISTORY_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/request.h"
#include "engine/token.h"

namespace seer {

// Whether a draw depends on the tokens that the text already has.
bool Penalizes(const SamplingOptions& options);

// Not thread-safe. Copyable: each choice of a request starts from a copy.
class TokenHistory {
 public:
  // Of a request without penalties: remembers nothing, costs nothing.
  TokenHistory() = default;
  // Remembers what the penalties of `options` read; nothing if all are off.
  TokenHistory(const SamplingOptions& options,
               absl::Span<const TokenId> prompt);

  // A token was drawn for this choice.
  void Append(TokenId token);

  // Times drawn, of each token of the output, and of the prompt (0 if only
  // there) where repetition_penalty asks for it.
  const absl::flat_hash_map<TokenId, int32_t>& counts() const {
    return counts_;
  }

 private:
  bool used_ = false;
  absl::flat_hash_map<TokenId, int32_t> counts_;
};

}  // namespace seer

#endif  // SEER_ENGINE_SAMPLER_TOKEN_HISTORY_H_
