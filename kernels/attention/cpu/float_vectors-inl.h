// Vectors of fp32 for the portable kernel: exponential and products. Included
// once a target; see hwy/foreach_target.h.
#if defined(SEER_KERNELS_ATTENTION_CPU_FLOAT_VECTORS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef SEER_KERNELS_ATTENTION_CPU_FLOAT_VECTORS_INL_H_
#undef SEER_KERNELS_ATTENTION_CPU_FLOAT_VECTORS_INL_H_
#else
#define SEER_KERNELS_ATTENTION_CPU_FLOAT_VECTORS_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
using Vector = hn::Vec<FloatTag>;

constexpr int kLanes = hn::MaxLanes(FloatTag());

// e^x for x <= 0 (or barely above); 0 far below. Relative error about 2^-23:
// the argument is reduced to |r| <= ln(2) / 2 in two parts of ln(2), then a
// polynomial, minimax in relative error under p(0) = 1 (2.6e-9).
HWY_INLINE Vector Exp(Vector x) {
  const FloatTag d;
  const IntTag di;
  // Below -88 the exponent field of 2^n is 0 and so is the result.
  x = hn::Max(x, hn::Set(d, -88.0f));
  const Vector n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504088896341f)));
  Vector r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  Vector p = hn::MulAdd(hn::Set(d, 0.0014061240406142638f), r,
                        hn::Set(d, 0.008379011162283897f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.04166477729712552f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.16666365441258957f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.500000043437477f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0000000496403878f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto exponent = hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127));
  return hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(exponent)));
}

// Here and in the kernel, loops over accumulators are unrolled so that the
// arrays live in registers.
//
// acc[r][c] += sum over s < steps of a[s][r] * b[s][c]. b's elements lie
// column_stride and step_stride apart.
template <int kVectors, int kColumns>
HWY_INLINE void MultiplySteps(const float* a, const float* b,
                              const ptrdiff_t column_stride,
                              const ptrdiff_t step_stride, int steps,
                              Vector (&acc)[kVectors][kColumns]) {
  const FloatTag d;
  for (int s = 0; s < steps; ++s) {
    Vector rows[kVectors];
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) rows[r] = hn::Load(d, a + r * kLanes);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
      const Vector column = hn::Set(d, b[c * column_stride]);
#pragma GCC unroll 2
      for (int r = 0; r < kVectors; ++r) {
        acc[r][c] = hn::MulAdd(rows[r], column, acc[r][c]);
      }
    }
    a += kVectors * kLanes;
    b += step_stride;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#endif  // SEER_KERNELS_ATTENTION_CPU_FLOAT_VECTORS_INL_H_
