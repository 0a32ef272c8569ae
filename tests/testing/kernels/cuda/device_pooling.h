// Runs a GPU's attention_pooling on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_POOLING_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_POOLING_H_

#include "absl/status/status.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/attention_pooling/mass_recall.h"

namespace seer {

// PoolAttention(kCuda) and MassRecall(kCuda) on a copy of everything that
// `args`, valid on the CPU, points to, outputs included; copies the outputs
// back. Runs it twice over one workspace, which starts as garbage, the second
// time out of a captured graph. INTERNAL: the outputs then differ in a bit.
absl::Status PoolAttentionOnDevice(const AttentionPoolingArgs& args);
absl::Status MassRecallOnDevice(const MassRecallArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_POOLING_H_
