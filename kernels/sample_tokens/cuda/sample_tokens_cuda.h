// The GPU backend of sample_tokens.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_SAMPLE_TOKENS_CUDA_H_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_SAMPLE_TOKENS_CUDA_H_

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {

// Enqueues the work of arguments whose host side SampleTokens has checked.
absl::Status SampleTokensOnCuda(const SampleTokensArgs& args,
                                DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_SAMPLE_TOKENS_CUDA_H_
