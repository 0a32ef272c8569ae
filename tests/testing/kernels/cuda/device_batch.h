// A batch in a GPU's memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_BATCH_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_BATCH_H_

#include <vector>

#include "kernels/attention/attention_plan.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/kernels/cuda/device_array.h"

namespace seer {

// A copy of a batch that is in host memory, page tables included, with the
// plan of its attention.
class DeviceBatch {
 public:
  explicit DeviceBatch(const RaggedBatch& host);

  const RaggedBatch& batch() const { return batch_; }
  const AttentionPlan& plan() const { return plan_; }

 private:
  std::vector<DeviceArray> arrays_;
  RaggedBatch batch_;
  AttentionPlan plan_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_BATCH_H_
