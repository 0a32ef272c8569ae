// Runs a GPU's block selection on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_SELECTION_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_SELECTION_H_

#include <vector>

#include "absl/status/status.h"
#include "kernels/block_selection/block_selection.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_batch.h"

namespace seer {

// A copy of all that `host`, valid on the CPU, points to, outputs included.
class DeviceSelection {
 public:
  explicit DeviceSelection(const BlockSelectionArgs& host);

  const BlockSelectionArgs& args() const { return args_; }
  // Waits for the device. `host` is of the constructor's shapes.
  void CopyOutputsTo(const BlockSelectionArgs& host) const;

 private:
  DeviceBatch batch_;
  std::vector<DeviceArray> row_budgets_;
  DeviceArray rules_, logits_, bits_, counts_, num_selected_;
  BlockSelectionArgs args_;
};

// SelectBlocks(kCuda) on a copy of everything, then on another one out of a
// captured graph, whose outputs are copied back.
absl::Status SelectOnDevice(const BlockSelectionArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_SELECTION_H_
