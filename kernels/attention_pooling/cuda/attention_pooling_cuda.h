// The GPU backend of attention_pooling.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CUDA_ATTENTION_POOLING_CUDA_H_
#define SEER_KERNELS_ATTENTION_POOLING_CUDA_ATTENTION_POOLING_CUDA_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/attention_pooling/mass_recall.h"
#include "kernels/device.h"

namespace seer {

// Enqueue what arguments whose host side has been checked ask for.
absl::Status PoolAttentionOnCuda(const AttentionPoolingArgs& args,
                                 DeviceStream stream);
absl::Status MassRecallOnCuda(const MassRecallArgs& args, DeviceStream stream);

// Bytes of DeviceStream::workspace that PoolAttentionOnCuda needs.
int64_t CudaPoolingWorkspaceBytes(const AttentionPoolingArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CUDA_ATTENTION_POOLING_CUDA_H_
