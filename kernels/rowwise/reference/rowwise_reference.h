#ifndef SEER_KERNELS_ROWWISE_REFERENCE_ROWWISE_REFERENCE_H_
#define SEER_KERNELS_ROWWISE_REFERENCE_ROWWISE_REFERENCE_H_

#include "kernels/rowwise/rowwise.h"

namespace seer {

// Define the answers: in double between the roundings that rowwise.h states.
// `args` are valid.
void RmsNormReference(const RmsNormArgs& args);
void SiluMulReference(const SiluMulArgs& args);
void EmbedTokensReference(const EmbedTokensArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_ROWWISE_REFERENCE_ROWWISE_REFERENCE_H_
