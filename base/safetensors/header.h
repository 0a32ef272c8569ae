#ifndef SEER_BASE_SAFETENSORS_HEADER_H_
#define SEER_BASE_SAFETENSORS_HEADER_H_

// The JSON header of a safetensors file. Part of safetensors.h; checks what can
// be checked without the data.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/safetensors/dtype.h"

namespace seer {

struct SafetensorsHeader {
  struct Tensor {
    SafetensorsDtype dtype = SafetensorsDtype::kF32;
    std::vector<int64_t> shape;
    uint64_t begin = 0;  // data_offsets
    uint64_t end = 0;
  };
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// INVALID_ARGUMENT: not valid JSON of the header's form. The offsets may be any
// numbers.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    absl::string_view json);

// A tensor's name for a message: quoted, printable, cut where it is long.
std::string QuoteTensorName(absl::string_view name);

}  // namespace seer

#endif  // SEER_BASE_SAFETENSORS_HEADER_H_
