// Runs a GPU's sample_tokens on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_SAMPLE_TOKENS_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_SAMPLE_TOKENS_H_

#include "absl/status/status.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {

// SampleTokens(kCuda) on a copy of everything, then on another one out of a
// captured graph, whose outputs are copied back. INTERNAL where the two drew
// differently.
absl::Status SampleTokensOnDevice(const SampleTokensArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_SAMPLE_TOKENS_H_
