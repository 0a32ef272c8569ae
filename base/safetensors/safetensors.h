#ifndef SEER_BASE_SAFETENSORS_SAFETENSORS_H_
#define SEER_BASE_SAFETENSORS_SAFETENSORS_H_

// The safetensors file format: named tensors in one file that can be mapped.
//
//   8 bytes   N, little-endian
//   N bytes   a JSON object, padded with spaces: per tensor its dtype, shape
//   and
//             data_offsets [begin, end), and "__metadata__", strings by name
//   the rest  the data, which data_offsets count from: row-major,
//   little-endian,
//             each byte in exactly one tensor
//
// The reader is strict: it is safe on hostile files and refuses any that
// another reader could take to mean something else.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file/mapped_file.h"
#include "base/safetensors/dtype.h"

namespace seer {

// One tensor; borrows its bytes.
struct SafetensorsTensor {
  SafetensorsDtype dtype = SafetensorsDtype::kF32;
  std::vector<int64_t> shape;  // each >= 0; none: a scalar
  // The product of `shape`, times the element size. The address need not be
  // aligned to the element.
  absl::Span<const uint8_t> bytes;
};

struct SafetensorsContents {
  std::map<std::string, SafetensorsTensor> tensors;  // by name
  std::map<std::string, std::string> metadata;
};

// The longest header, in bytes.
inline constexpr int64_t kMaxSafetensorsHeaderBytes = 100 * 1000 * 1000;

// The contents of a whole file held in memory, which the result borrows.
// DATA_LOSS: the file ends before its header or a tensor does.
// INVALID_ARGUMENT: the header is too long or not valid JSON of this form, has
// a key twice, names an unknown dtype or more than 16 dimensions; a tensor's
// size overflows or differs from its offsets; tensors overlap or leave bytes
// out. Messages name the tensor.
absl::StatusOr<SafetensorsContents> ParseSafetensors(
    absl::Span<const uint8_t> file);

// A mapped file and its contents. Immutable, so thread-safe.
//
//   SEER_ASSIGN_OR_RETURN(const SafetensorsFile file,
//                         SafetensorsFile::Open("model.safetensors"));
//   const SafetensorsTensor* norm = file.Find("model.norm.weight");
class SafetensorsFile {
 public:
  // The errors of MappedFile::Open and ParseSafetensors; messages name the
  // path.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  // All tensors, by name. They stay valid as long as this object or one it was
  // moved to.
  const std::map<std::string, SafetensorsTensor>& tensors() const {
    return contents_.tensors;
  }
  const std::map<std::string, std::string>& metadata() const {
    return contents_.metadata;
  }

  // Null where there is none of that name.
  const SafetensorsTensor* Find(const std::string& name) const;

 private:
  SafetensorsFile(MappedFile file, SafetensorsContents contents)
      : file_(std::move(file)), contents_(std::move(contents)) {}

  MappedFile file_;
  SafetensorsContents contents_;  // borrows file_'s bytes
};

}  // namespace seer

#endif  // SEER_BASE_SAFETENSORS_SAFETENSORS_H_
