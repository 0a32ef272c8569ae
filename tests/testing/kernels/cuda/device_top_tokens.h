// Runs a GPU's top_tokens on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_TOP_TOKENS_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_TOP_TOKENS_H_

#include "absl/status/status.h"
#include "kernels/top_tokens/top_tokens.h"

namespace seer {

// TopTokens(kCuda) on a copy of everything, then on another one out of a
// captured graph, whose outputs are copied back.
absl::Status TopTokensOnDevice(const TopTokensArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_TOP_TOKENS_H_
