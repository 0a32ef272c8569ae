#include "engine/calibration/files/tensor_file.h"

#include "base/safetensors/safetensors_writer.h"

namespace seer {

absl::StatusOr<std::string> ToBytes(const TensorFile& file) {
  SafetensorsContents contents;
  contents.metadata = file.metadata;
  for (const auto& [name, tensor] : file.tensors) {
    contents.tensors[name] = {tensor.dtype, tensor.shape, tensor.bytes};
  }
  return SerializeSafetensors(contents);
}

}  // namespace seer
