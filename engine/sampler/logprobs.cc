#include "engine/sampler/logprobs.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/sampler/logit_row.h"

namespace seer {

absl::StatusOr<LogprobEntry> ScoreToken(absl::Span<const float> logits,
                                        TokenId token, int32_t num_top) {
  if (token < 0 || token >= static_cast<int64_t>(logits.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("token ", token, " is not in a vocabulary of ",
                     logits.size(), " tokens"));
  }
  if (!AllFinite(logits)) {
    return absl::InternalError("the model gave a logit that is not finite");
  }
  const float max = MaxLogit(logits);
  const double log_sum = std::log(SumWeights(logits, max, 1.0f));
  const auto logprob = [&](float logit) {
    return (double{logit} - max) - log_sum;
  };
  LogprobEntry entry;
  entry.token.id = token;
  entry.token.logprob = logprob(logits[token]);
  entry.rank = CountBetter(logits, token) + 1;
  std::vector<RankedToken> best;
  SelectBest(logits, num_top, &best);
  entry.top.resize(best.size());
  for (size_t i = 0; i < best.size(); ++i) {
    entry.top[i].id = best[i].id;
    entry.top[i].logprob = logprob(best[i].logit);
  }
  return entry;
}

}  // namespace seer
