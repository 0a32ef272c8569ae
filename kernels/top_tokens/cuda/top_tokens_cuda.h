// The GPU backend of top_tokens.
#ifndef SEER_KERNELS_TOP_TOKENS_CUDA_TOP_TOKENS_CUDA_H_
#define SEER_KERNELS_TOP_TOKENS_CUDA_TOP_TOKENS_CUDA_H_

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/top_tokens/top_tokens.h"

namespace seer {

// Enqueues the work of arguments whose host side TopTokens has checked.
absl::Status TopTokensOnCuda(const TopTokensArgs& args, DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_TOP_TOKENS_CUDA_TOP_TOKENS_CUDA_H_
