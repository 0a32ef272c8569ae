// Floats stored in a kernel's dtype, for tests that compare dtypes.
#ifndef SEER_TESTS_TESTING_KERNELS_TYPED_ARRAY_H_
#define SEER_TESTS_TESTING_KERNELS_TYPED_ARRAY_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/dtype.h"

namespace seer {

// `value` as `dtype` stores it.
float RoundTo(DType dtype, float value);

// An array of a fixed size, rounded to nearest even where it is written.
class TypedArray {
 public:
  TypedArray() = default;
  // `size` elements of value `fill`.
  TypedArray(DType dtype, int64_t size, float fill = 0.0f);
  TypedArray(DType dtype, absl::Span<const float> values);

  DType dtype() const { return dtype_; }
  int64_t size() const { return size_; }
  void* data() { return bytes_.data(); }
  const void* data() const { return bytes_.data(); }

  float Get(int64_t i) const;
  void Set(int64_t i, float value);
  std::vector<float> ToFloats() const;

 private:
  DType dtype_ = DType::kFloat32;
  int64_t size_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_TYPED_ARRAY_H_
