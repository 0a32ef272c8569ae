// Tensors of a device into a checkpoint and back, bit for bit.
#ifndef SEER_ENGINE_CALIBRATION_TRAINING_CHECKPOINT_TENSORS_H_
#define SEER_ENGINE_CALIBRATION_TRAINING_CHECKPOINT_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/training/checkpoint.h"

namespace seer {

// `tensor` is fp32 or int64. Waits for its device. Throws what ATen throws.
CheckpointTensor ToCheckpoint(const at::Tensor& tensor);

// A copy, in the host's memory, of the tensor `name`, which must have the type
// and shape of `like` and, if it is fp32, be finite.
// INVALID_ARGUMENT names the tensor.
absl::StatusOr<at::Tensor> FromCheckpoint(const Checkpoint& checkpoint,
                                          const std::string& name,
                                          const at::Tensor& like);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TRAINING_CHECKPOINT_TENSORS_H_
