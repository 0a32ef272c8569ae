// Runs a GPU's attention on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ATTENTION_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ATTENTION_H_

#include "absl/status/status.h"
#include "kernels/attention/attention.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_batch.h"

namespace seer {

// A copy of all that `host`, valid on the CPU, reads, with the batch's plan.
class DeviceAttention {
 public:
  explicit DeviceAttention(const AttentionArgs& host);

  // Without outputs.
  const AttentionArgs& args() const { return args_; }

 private:
  DeviceBatch batch_;
  DeviceArray queries_, pages_, bits_, counts_;
  AttentionArgs args_;
};

// Attend(kCuda) on a copy of everything that `args`, valid on the CPU, points
// to; copies the outputs back. Runs it twice over one workspace, which starts
// as garbage, the second time out of a captured graph.
absl::Status AttendOnDevice(const AttentionArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ATTENTION_H_
