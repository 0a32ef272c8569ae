#include "engine/weights/weight_values.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/types/span.h"

namespace seer {
namespace {

// How the bits of each type stand: its exponent is all ones exactly for
// infinities and what is not a number.
constexpr uint32_t kExponent32 = 0x7F800000u;
constexpr uint16_t kExponentBf16 = 0x7F80u;
constexpr uint16_t kExponentF16 = 0x7C00u;

// Value `index`, from an address that need not be aligned.
template <typename T>
T Load(const Weight& weight, int64_t index) {
  T value;
  std::memcpy(&value,
              static_cast<const char*>(weight.values) + index * sizeof(T),
              sizeof(T));
  return value;
}

template <typename T>
std::optional<int64_t> FirstWithExponent(const Weight& weight, T exponent) {
  // In blocks without branches, which compilers vectorise.
  constexpr int64_t kBlock = 4096;
  for (int64_t begin = 0; begin < weight.num_values; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, weight.num_values);
    int found = 0;
    for (int64_t i = begin; i < end; ++i) {
      found |= (Load<T>(weight, i) & exponent) == exponent;
    }
    if (found == 0) continue;
    for (int64_t i = begin; i < end; ++i) {
      if ((Load<T>(weight, i) & exponent) == exponent) return i;
    }
  }
  return std::nullopt;
}

float FloatFromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1Fu;
  const uint32_t fraction = half & 0x3FFu;
  if (exponent == 0) {  // a subnormal: fraction * 2^-24, exact in f32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t bits =
      exponent == 0x1F ? sign | kExponent32 | (fraction << 13)
                       : sign | ((exponent + 112) << 23) | (fraction << 13);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

std::optional<int64_t> FirstNonFinite(const Weight& weight) {
  switch (weight.dtype) {
    case WeightDType::kFloat32:
      return FirstWithExponent<uint32_t>(weight, kExponent32);
    case WeightDType::kFloat16:
      return FirstWithExponent<uint16_t>(weight, kExponentF16);
    case WeightDType::kBFloat16:
      return FirstWithExponent<uint16_t>(weight, kExponentBf16);
  }
  return std::nullopt;
}

void ReadBFloat16(const Weight& weight, int64_t begin,
                  absl::Span<BFloat16> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t index = begin + static_cast<int64_t>(i);
    switch (weight.dtype) {
      case WeightDType::kFloat32:
        values[i] = BFloat16(Load<float>(weight, index));
        break;
      case WeightDType::kFloat16:
        values[i] = BFloat16(FloatFromHalf(Load<uint16_t>(weight, index)));
        break;
      case WeightDType::kBFloat16:
        values[i].bits = Load<uint16_t>(weight, index);
        break;
    }
  }
}

}  // namespace seer
