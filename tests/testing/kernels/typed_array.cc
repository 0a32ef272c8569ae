#include "tests/testing/kernels/typed_array.h"

#include <cstring>

namespace seer {

float RoundTo(DType dtype, float value) {
  return dtype == DType::kFloat32 ? value : static_cast<float>(BFloat16(value));
}

TypedArray::TypedArray(DType dtype, int64_t size, float fill)
    : dtype_(dtype), size_(size), bytes_(size * SizeOf(dtype)) {
  for (int64_t i = 0; i < size; ++i) Set(i, fill);
}

TypedArray::TypedArray(DType dtype, absl::Span<const float> values)
    : TypedArray(dtype, static_cast<int64_t>(values.size())) {
  for (int64_t i = 0; i < size_; ++i) Set(i, values[i]);
}

float TypedArray::Get(int64_t i) const {
  const uint8_t* at = bytes_.data() + i * SizeOf(dtype_);
  if (dtype_ == DType::kFloat32) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  BFloat16 value;
  std::memcpy(&value.bits, at, sizeof(value.bits));
  return static_cast<float>(value);
}

void TypedArray::Set(int64_t i, float value) {
  uint8_t* at = bytes_.data() + i * SizeOf(dtype_);
  if (dtype_ == DType::kFloat32) {
    std::memcpy(at, &value, sizeof(value));
  } else {
    const BFloat16 rounded(value);
    std::memcpy(at, &rounded.bits, sizeof(rounded.bits));
  }
}

std::vector<float> TypedArray::ToFloats() const {
  std::vector<float> values(size_);
  for (int64_t i = 0; i < size_; ++i) values[i] = Get(i);
  return values;
}

}  // namespace seer
