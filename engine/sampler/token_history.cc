#include "engine/sampler/token_history.h"

namespace seer {

TokenHistory::TokenHistory(const SamplingOptions& options,
                           absl::Span<const TokenId> prompt) {
  const bool repetition = options.repetition_penalty != 1.0;
  used_ = repetition || options.presence_penalty != 0.0 ||
          options.frequency_penalty != 0.0;
  if (!repetition) return;  // the others read the output only
  for (const TokenId token : prompt) counts_.try_emplace(token, 0);
}

void TokenHistory::Append(TokenId token) {
  if (used_) ++counts_[token];
}

}  // namespace seer
