// The GPU backend of the row-wise operations.
#ifndef SEER_KERNELS_ROWWISE_CUDA_ROWWISE_CUDA_H_
#define SEER_KERNELS_ROWWISE_CUDA_ROWWISE_CUDA_H_

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/rowwise/rowwise.h"

namespace seer {

// Enqueue the work of arguments whose host side rowwise.cc has checked.
absl::Status RmsNormOnCuda(const RmsNormArgs& args, DeviceStream stream);
absl::Status SiluMulOnCuda(const SiluMulArgs& args, DeviceStream stream);
absl::Status EmbedTokensOnCuda(const EmbedTokensArgs& args,
                               DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_ROWWISE_CUDA_ROWWISE_CUDA_H_
