#include "base/safetensors/dtype.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"

namespace seer {
namespace {

struct DtypeRow {
  SafetensorsDtype dtype;
  absl::string_view name;
  int size;  // bytes
};

constexpr DtypeRow kDtypes[] = {
    {SafetensorsDtype::kBool, "BOOL", 1},
    {SafetensorsDtype::kU8, "U8", 1},
    {SafetensorsDtype::kI8, "I8", 1},
    {SafetensorsDtype::kF8E5M2, "F8_E5M2", 1},
    {SafetensorsDtype::kF8E4M3, "F8_E4M3", 1},
    {SafetensorsDtype::kI16, "I16", 2},
    {SafetensorsDtype::kU16, "U16", 2},
    {SafetensorsDtype::kF16, "F16", 2},
    {SafetensorsDtype::kBF16, "BF16", 2},
    {SafetensorsDtype::kI32, "I32", 4},
    {SafetensorsDtype::kU32, "U32", 4},
    {SafetensorsDtype::kF32, "F32", 4},
    {SafetensorsDtype::kI64, "I64", 8},
    {SafetensorsDtype::kU64, "U64", 8},
    {SafetensorsDtype::kF64, "F64", 8},
};

const DtypeRow& Row(SafetensorsDtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)];
}

}  // namespace

absl::string_view SafetensorsDtypeName(SafetensorsDtype dtype) {
  return Row(dtype).name;
}

absl::optional<SafetensorsDtype> ParseSafetensorsDtype(absl::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return absl::nullopt;
}

int SafetensorsDtypeSize(SafetensorsDtype dtype) { return Row(dtype).size; }

absl::optional<uint64_t> SafetensorsByteSize(SafetensorsDtype dtype,
                                             absl::Span<const int64_t> shape) {
  uint64_t size = static_cast<uint64_t>(SafetensorsDtypeSize(dtype));
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(size, dimension, &size)) {
      return absl::nullopt;
    }
  }
  return size;
}

}  // namespace seer
