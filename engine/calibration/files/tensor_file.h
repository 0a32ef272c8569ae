// Named tensors with bytes of their own, and what a safetensors file says of
// them. No torch.
#ifndef SEER_ENGINE_CALIBRATION_FILES_TENSOR_FILE_H_
#define SEER_ENGINE_CALIBRATION_FILES_TENSOR_FILE_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "engine/calibration/training/checkpoint.h"

namespace seer {

struct TensorFile {
  Checkpoint tensors;
  std::map<std::string, std::string> metadata;
};

// The bytes of such a safetensors file. INVALID_ARGUMENT: a tensor's bytes
// disagree with its shape, or a string is not UTF-8.
absl::StatusOr<std::string> ToBytes(const TensorFile& file);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_FILES_TENSOR_FILE_H_
