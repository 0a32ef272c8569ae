// Passes over one row of logits, in time linear in the vocabulary.
#ifndef SEER_ENGINE_SAMPLER_LOGIT_ROW_H_
#define SEER_ENGINE_SAMPLER_LOGIT_ROW_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/token.h"

namespace seer {

// Rows hold a logit for each token; -infinity is a token that cannot be drawn.

// No infinity and no NaN.
bool AllFinite(absl::Span<const float> logits);

// The highest logit; -infinity for an empty row. No NaN may be in it.
float MaxLogit(absl::Span<const float> logits);

// Tokens before `token` in order of logit, ties by id.
int64_t CountBetter(absl::Span<const float> logits, TokenId token);

struct RankedToken {
  float logit = 0.0f;
  TokenId id = 0;
};

// The `count` highest (or as many as can be drawn), best first, ties by id.
// `best` is scratch that keeps its memory from call to call.
void SelectBest(absl::Span<const float> logits, int64_t count,
                std::vector<RankedToken>* best);

// Numerators of the softmax, e^((logit - max) * scale), are summed in groups of
// this many tokens.
constexpr int64_t kWeightGroup = 256;

// The sum over the row, in double; each numerator is within 2^-21 + 2^-22 |its
// exponent| of itself. `max` is the highest logit, 0 < scale < infinity.
double SumWeights(absl::Span<const float> logits, float max, float scale);

// As SumWeights, and gives the numerators and the sum of each group.
// weights [num_tokens], group_sums [ceil(num_tokens / kWeightGroup)].
double ComputeWeights(absl::Span<const float> logits, float max, float scale,
                      absl::Span<float> weights, absl::Span<double> group_sums);

}  // namespace seer

#endif  // SEER_ENGINE_SAMPLER_LOGIT_ROW_H_
