#include "engine/sampler/logprobs.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/sampler/logit_row.h"

namespace seer {
namespace {

// Of one row: what is taken from a logit to make it a log-probability.
class Normalizer {
 public:
  // INTERNAL: a logit that is not finite.
  static absl::StatusOr<Normalizer> Of(absl::Span<const float> logits) {
    if (!AllFinite(logits)) {
      return absl::InternalError("the model gave a logit that is not finite");
    }
    const float max = MaxLogit(logits);
    return Normalizer(max, std::log(SumWeights(logits, max, 1.0f)));
  }

  double Logprob(float logit) const {
    return (double{logit} - max_) - log_sum_;
  }

 private:
  Normalizer(float max, double log_sum) : max_(max), log_sum_(log_sum) {}

  float max_;
  double log_sum_;  // of e^(logit - max)
};

}  // namespace

absl::StatusOr<LogprobEntry> ScoreToken(absl::Span<const float> logits,
                                        TokenId token, int32_t num_top) {
  if (token < 0 || token >= static_cast<int64_t>(logits.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("token ", token, " is not in a vocabulary of ",
                     logits.size(), " tokens"));
  }
  SEER_ASSIGN_OR_RETURN(const Normalizer normalizer, Normalizer::Of(logits));
  LogprobEntry entry;
  entry.token.id = token;
  entry.token.logprob = normalizer.Logprob(logits[token]);
  entry.rank = CountBetter(logits, token) + 1;
  std::vector<RankedToken> best;
  SelectBest(logits, num_top, &best);
  entry.top.resize(best.size());
  for (size_t i = 0; i < best.size(); ++i) {
    entry.top[i].id = best[i].id;
    entry.top[i].logprob = normalizer.Logprob(best[i].logit);
  }
  return entry;
}

absl::StatusOr<std::vector<float>> LogDistribution(
    absl::Span<const float> logits) {
  SEER_ASSIGN_OR_RETURN(const Normalizer normalizer, Normalizer::Of(logits));
  std::vector<float> logprobs(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    logprobs[i] = static_cast<float>(normalizer.Logprob(logits[i]));
  }
  return logprobs;
}

}  // namespace seer
