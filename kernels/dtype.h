// Element types of the tensors that kernels read and write, and the one
// bfloat16 of the code base.
#ifndef SEER_KERNELS_DTYPE_H_
#define SEER_KERNELS_DTYPE_H_

#include <cstdint>
#include <cstring>

namespace seer {

enum class DType { kFloat32, kBFloat16 };

// Bytes of one element.
constexpr int SizeOf(DType dtype) { return dtype == DType::kFloat32 ? 4 : 2; }

// A bfloat16 value: the upper half of an IEEE float32. Conversion from float
// rounds to nearest even; a NaN stays a (quiet) NaN.
struct BFloat16 {
  uint16_t bits = 0;

  BFloat16() = default;
  explicit BFloat16(float value) {
    uint32_t u;
    std::memcpy(&u, &value, sizeof(u));
    if ((u & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<uint16_t>((u >> 16) | 0x40u);
    } else {
      bits = static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
  }
  explicit operator float() const {
    const uint32_t u = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &u, sizeof(value));
    return value;
  }
};
static_assert(sizeof(BFloat16) == 2, "BFloat16 is stored in tensors");

}  // namespace seer

#endif  // SEER_KERNELS_DTYPE_H_
