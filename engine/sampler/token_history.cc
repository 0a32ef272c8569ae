#include "engine/sampler/token_history.h"

namespace seer {

bool Penalizes(const SamplingOptions& options) {
  return options.repetition_penalty != 1.0 || options.presence_penalty != 0.0 ||
         options.frequency_penalty != 0.0;
}

TokenHistory::TokenHistory(const SamplingOptions& options,
                           absl::Span<const TokenId> prompt) {
  used_ = Penalizes(options);
  // The others read the output only.
  if (options.repetition_penalty == 1.0) return;
  for (const TokenId token : prompt) counts_.try_emplace(token, 0);
}

void TokenHistory::Append(TokenId token) {
  if (used_) ++counts_[token];
}

}  // namespace seer
