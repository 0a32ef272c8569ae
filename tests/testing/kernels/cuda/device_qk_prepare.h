// Runs a GPU's qk_prepare on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_QK_PREPARE_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_QK_PREPARE_H_

#include "absl/status/status.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_batch.h"

namespace seer {

// A copy of all that `host`, valid on the CPU, points to, outputs included.
class DeviceQkPrepare {
 public:
  explicit DeviceQkPrepare(const QkPrepareArgs& host);

  const QkPrepareArgs& args() const { return args_; }
  // Waits for the device. `host` is of the constructor's shapes.
  void CopyOutputsTo(const QkPrepareArgs& host) const;

 private:
  DeviceBatch batch_;
  DeviceArray queries_, keys_, values_, cos_, sin_;
  DeviceArray roped_queries_, pages_, pooled_keys_, pooled_queries_;
  QkPrepareArgs args_;
};

// QkPrepare(kCuda) on a copy of everything, then on another one out of a
// captured graph, whose outputs are copied back.
absl::Status QkPrepareOnDevice(const QkPrepareArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_QK_PREPARE_H_
