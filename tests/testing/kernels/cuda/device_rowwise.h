// Runs a GPU's row-wise operations on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ROWWISE_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ROWWISE_H_

#include "absl/status/status.h"
#include "kernels/rowwise/rowwise.h"

namespace seer {

// The operation on a copy of everything, then on another one out of a captured
// graph, whose outputs are copied back. `misaligned`: the copies begin two
// elements after an aligned address.
absl::Status RmsNormOnDevice(const RmsNormArgs& args, bool misaligned);
absl::Status SiluMulOnDevice(const SiluMulArgs& args, bool misaligned);
absl::Status EmbedTokensOnDevice(const EmbedTokensArgs& args, bool misaligned);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ROWWISE_H_
