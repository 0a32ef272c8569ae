#ifndef SEER_BASE_SAFETENSORS_DTYPE_H_
#define SEER_BASE_SAFETENSORS_DTYPE_H_

// The element types of safetensors files. Part of safetensors.h.

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"

namespace seer {

enum class SafetensorsDtype {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kI64,
  kU64,
  kF64,
};

// As in a file: "BOOL", "BF16", "F8_E4M3", ...
absl::string_view SafetensorsDtypeName(SafetensorsDtype dtype);

// The type of that name; nullopt for any other.
absl::optional<SafetensorsDtype> ParseSafetensorsDtype(absl::string_view name);

// Bytes of an element.
int SafetensorsDtypeSize(SafetensorsDtype dtype);

// Bytes of a tensor; nullopt where a dimension is negative or the product
// overflows.
absl::optional<uint64_t> SafetensorsByteSize(SafetensorsDtype dtype,
                                             absl::Span<const int64_t> shape);

}  // namespace seer

#endif  // SEER_BASE_SAFETENSORS_DTYPE_H_
