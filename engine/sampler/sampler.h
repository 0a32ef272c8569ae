// Draws a token from a row of logits.
//
//   Sampler sampler(vocab_size);
//   TokenHistory history(options, prompt);
//   SEER_ASSIGN_OR_RETURN(
//       TokenId token, sampler.Sample({logits, &options, &history, {},
//                                      {seed, choice, position}}));
//   history.Append(token);
#ifndef SEER_ENGINE_SAMPLER_SAMPLER_H_
#define SEER_ENGINE_SAMPLER_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/request.h"
#include "engine/sampler/logit_row.h"
#include "engine/sampler/token_history.h"
#include "engine/sampler/uniform_draw.h"
#include "engine/token.h"

namespace seer {

// Options must be in the ranges of engine/request.h, token ids in the
// vocabulary.
struct SampleArgs {
  absl::Span<const float> logits;  // [vocab_size], the model's own
  const SamplingOptions* options = nullptr;
  const TokenHistory* history = nullptr;  // may be null: no penalties
  absl::Span<const TokenId> banned;       // never drawn (e.g. min_tokens: ends)
  DrawKey key;
};

// Holds scratch rows. Not thread-safe: one for each thread. What it draws
// depends on the arguments only.
class Sampler {
 public:
  // vocab_size >= 1.
  explicit Sampler(int32_t vocab_size);

  // Operations in the order that SamplingOptions states. Exactly:
  // - logit_bias is added (twice if a token is listed twice);
  // - repetition_penalty r: a token of the prompt or output has its logit
  //   divided by r if > 0, else multiplied (Keskar et al., 2019,
  //   arXiv:1909.05858); then presence_penalty once and frequency_penalty
  //   times its count are subtracted for tokens of the output;
  // - temperature 0: the highest logit, ties to the lower id. Otherwise
  //   probabilities are the softmax of logit / temperature;
  // - tokens in order of probability, ties to the lower id: top_k keeps the
  //   first k; top_p of what top_k kept, renormalised, the shortest beginning
  //   that reaches top_p; min_p those of at least min_p times the first's
  //   probability. The first is always kept;
  // - one uniform number picks from what is left, renormalised.
  // INTERNAL: a logit that is not finite; every token banned.
  // INVALID_ARGUMENT: logits of another size.
  absl::StatusOr<TokenId> Sample(const SampleArgs& args);

 private:
  // The logits after bias, penalties and bans: the argument's own row if there
  // are none, else `adjusted_`. Banned tokens are -infinity.
  absl::Span<const float> Adjust(const SampleArgs& args);
  // The draw over all tokens; over what top_k, top_p and min_p keep. `max` is
  // the highest logit.
  TokenId DrawFromAll(absl::Span<const float> logits, float max,
                      double temperature, double uniform);
  TokenId DrawFromBest(absl::Span<const float> logits, float max,
                       const SamplingOptions& options, double uniform);

  const int32_t vocab_size_;
  std::vector<float> adjusted_;       // [vocab_size]
  std::vector<float> weights_;        // [vocab_size], softmax numerators
  std::vector<double> group_sums_;    // [groups], of weights_
  std::vector<RankedToken> best_;     // up to [vocab_size], best first
  std::vector<double> best_weights_;  // of the first tokens of best_
};

}  // namespace seer

#endif  // SEER_ENGINE_SAMPLER_SAMPLER_H_
