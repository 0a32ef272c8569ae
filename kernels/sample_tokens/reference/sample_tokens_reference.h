#ifndef SEER_KERNELS_SAMPLE_TOKENS_REFERENCE_SAMPLE_TOKENS_REFERENCE_H_
#define SEER_KERNELS_SAMPLE_TOKENS_REFERENCE_SAMPLE_TOKENS_REFERENCE_H_

#include <cstdint>
#include <vector>

#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {

// Defines SampleTokens; weighs in double. `args` are valid.
void SampleTokensReference(const SampleTokensArgs& args);

// A draw's row after its adjustments, banned tokens -infinity; empty if a logit
// is not finite. [vocab_size]
std::vector<float> AdjustedLogits(const SampleTokensArgs& args,
                                  const TokenDraw& draw);

// The tokens of such a row in the order that the draw walks.
std::vector<int32_t> DrawOrder(const std::vector<float>& logits,
                               const TokenDraw& draw);
// Whether that is the order of logits.
bool DrawsInOrderOfLogit(const TokenDraw& draw, int32_t vocab_size);

}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_REFERENCE_SAMPLE_TOKENS_REFERENCE_H_
