#ifndef SEER_KERNELS_TOP_TOKENS_REFERENCE_TOP_TOKENS_REFERENCE_H_
#define SEER_KERNELS_TOP_TOKENS_REFERENCE_TOP_TOKENS_REFERENCE_H_

#include "kernels/top_tokens/top_tokens.h"

namespace seer {

// Defines TopTokens; sums in double. `args` are valid.
void TopTokensReference(const TopTokensArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_TOP_TOKENS_REFERENCE_TOP_TOKENS_REFERENCE_H_
