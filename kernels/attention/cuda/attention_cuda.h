// The GPU backend of attention.
#ifndef SEER_KERNELS_ATTENTION_CUDA_ATTENTION_CUDA_H_
#define SEER_KERNELS_ATTENTION_CUDA_ATTENTION_CUDA_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/attention/attention.h"
#include "kernels/device.h"

namespace seer {

// Enqueues the attention of arguments whose host side Attend has checked.
absl::Status AttendOnCuda(const AttentionArgs& args, DeviceStream stream);

// Bytes of DeviceStream::workspace that AttendOnCuda needs.
int64_t CudaAttentionWorkspaceBytes(const AttentionArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_ATTENTION_CUDA_H_
