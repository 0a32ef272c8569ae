// Vectors of fp32 in and out of tensors of either dtype, for Highway targets.
// Included once a target; see hwy/foreach_target.h.
#if defined(SEER_KERNELS_CPU_FLOATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEER_KERNELS_CPU_FLOATS_INL_H_
#undef SEER_KERNELS_CPU_FLOATS_INL_H_
#else
#define SEER_KERNELS_CPU_FLOATS_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "kernels/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Lanes(d) elements from p, unaligned, as fp32.
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const BFloat16* p) {
  const hn::Rebind<uint16_t, D> du16;
  const hn::Rebind<uint32_t, D> du32;
  const auto bits = hn::LoadU(du16, reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
}

// v as T stores it: BFloat16's rounding, lane by lane.
template <class D>
HWY_INLINE hn::Vec<D> RoundFloats(D, hn::Vec<D> v, const float* /*T*/) {
  return v;
}
template <class D>
HWY_INLINE hn::Vec<D> RoundFloats(D d, hn::Vec<D> v, const BFloat16* /*T*/) {
  const hn::Rebind<uint32_t, D> du32;
  const auto bits = hn::BitCast(du32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du32, 1));
  const auto rounded =
      hn::Add(bits, hn::Add(odd, hn::Set(du32, uint32_t{0x7fff})));
  const auto nan = hn::Or(bits, hn::Set(du32, uint32_t{0x400000}));
  const auto is_number = hn::RebindMask(du32, hn::Eq(v, v));
  const auto upper = hn::And(hn::IfThenElse(is_number, rounded, nan),
                             hn::Set(du32, uint32_t{0xffff0000}));
  return hn::BitCast(d, upper);
}

// Stores v, which RoundFloats has rounded for T, unaligned.
template <class D>
HWY_INLINE void StoreRounded(D d, hn::Vec<D> v, float* p) {
  hn::StoreU(v, d, p);
}
template <class D>
HWY_INLINE void StoreRounded(D, hn::Vec<D> v, BFloat16* p) {
  const hn::Rebind<uint16_t, D> du16;
  const hn::Rebind<uint32_t, D> du32;
  const hn::Rebind<int32_t, D> di32;
  const auto upper =
      hn::BitCast(di32, hn::ShiftRight<16>(hn::BitCast(du32, v)));
  hn::StoreU(hn::DemoteTo(du16, upper), du16, reinterpret_cast<uint16_t*>(p));
}

// Calls fn(d) with a tag whose lanes divide `len`: the widest vectors for the
// head_dims in use, single elements for odd ones.
template <class Fn>
HWY_INLINE void WithLanesDividing(int64_t len, const Fn& fn) {
  const hn::ScalableTag<float> widest;
  const hn::CappedTag<float, 8> eight;
  if (len % static_cast<int64_t>(hn::Lanes(widest)) == 0) {
    fn(widest);
  } else if (len % static_cast<int64_t>(hn::Lanes(eight)) == 0) {
    fn(eight);
  } else {
    fn(hn::CappedTag<float, 1>());
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#endif  // SEER_KERNELS_CPU_FLOATS_INL_H_
