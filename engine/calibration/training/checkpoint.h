// What a trainer keeps between two steps, as named tensors. No torch.
#ifndef SEER_ENGINE_CALIBRATION_TRAINING_CHECKPOINT_H_
#define SEER_ENGINE_CALIBRATION_TRAINING_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/safetensors/dtype.h"

namespace seer {

// As base/safetensors writes and reads it, with bytes of its own.
struct CheckpointTensor {
  SafetensorsDtype dtype = SafetensorsDtype::kF32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;  // row-major, little-endian
};

// Those of all layers may be in one map: names begin with the layer's.
using Checkpoint = std::map<std::string, CheckpointTensor>;

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TRAINING_CHECKPOINT_H_
