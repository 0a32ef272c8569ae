// The two vector widths of the AVX512-BF16 kernel behind one set of names:
// Zmm has 16 lanes, Ymm 8. A lane holds a query row. Included by
// panel_bf16.cc only, which must run where AVX512-BF16 is supported.
#ifndef SEER_KERNELS_ATTENTION_CPU_BF16_VECTORS_INL_H_
#define SEER_KERNELS_ATTENTION_CPU_BF16_VECTORS_INL_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "hwy/base.h"

// Functions between HWY_PUSH_ATTRIBUTES of this and HWY_POP_ATTRIBUTES.
#define SEER_AVX512_BF16_TARGET \
  "avx2,fma,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16"

HWY_PUSH_ATTRIBUTES(SEER_AVX512_BF16_TARGET)

namespace seer {
namespace {

// 2^f for f in [0, 1), less the constant term 1: minimax in relative error
// under p(0) = 1, 2.9e-6, below what rounding to bf16 keeps.
constexpr float kExp2C1 = 0.693044844898696f;
constexpr float kExp2C2 = 0.2412802047740392f;
constexpr float kExp2C3 = 0.05224247418757006f;
constexpr float kExp2C4 = 0.013426684289534615f;

// x - floor(x), for VREDUCEPS: no fraction bits kept, round down, quiet.
constexpr int kReduceToFraction = 0x09;

// The first n lanes of 16; none for n <= 0.
HWY_INLINE __mmask16 FirstLanes(int n) {
  if (n >= 16) return 0xffff;
  return n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1);
}

// A pair of bf16 as the 32 bits they are.
HWY_INLINE int32_t PairAt(const char* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof(pair));
  return pair;
}

struct Zmm {
  using Float = __m512;
  using Pairs = __m512i;
  using Mask = __mmask16;
  static constexpr int kLanes = 16;

  static HWY_INLINE Float Set(float x) { return _mm512_set1_ps(x); }
  static HWY_INLINE Float Load(const float* p) { return _mm512_load_ps(p); }
  static HWY_INLINE void Store(float* p, Float x) { _mm512_store_ps(p, x); }
  static HWY_INLINE void StoreU(float* p, Float x) { _mm512_storeu_ps(p, x); }
  static HWY_INLINE Pairs LoadPairs(const uint32_t* p) {
    return _mm512_load_si512(p);
  }
  static HWY_INLINE void StorePairs(float* p, Pairs x) {
    _mm512_store_si512(p, x);
  }
  static HWY_INLINE Pairs SetPair(const char* p) {
    return _mm512_set1_epi32(PairAt(p));
  }
  static HWY_INLINE Float Dot(Float acc, Pairs a, Pairs b) {
    return _mm512_dpbf16_ps(acc, reinterpret_cast<__m512bh>(a),
                            reinterpret_cast<__m512bh>(b));
  }
  static HWY_INLINE Float Add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static HWY_INLINE Float Sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static HWY_INLINE Float Mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static HWY_INLINE Float MulSub(Float a, Float b, Float c) {
    return _mm512_fmsub_ps(a, b, c);
  }
  static HWY_INLINE Float Max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static HWY_INLINE Float MaxWhere(Mask m, Float a, Float b) {
    return _mm512_mask_max_ps(a, m, a, b);
  }
  static HWY_INLINE Float Where(Mask m, Float x) {
    return _mm512_maskz_mov_ps(m, x);
  }
  static HWY_INLINE bool AnyBelow(Float a, Float b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) != 0;
  }
  // Lanes whose p[lane] > x.
  static HWY_INLINE Mask IsAbove(const int32_t* p, int32_t x) {
    return _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(p), _mm512_set1_epi32(x));
  }
  // 2^x; 0 far below.
  static HWY_INLINE Float Exp2(Float x) {
    const Float f = _mm512_reduce_ps(x, kReduceToFraction);
    Float p = _mm512_fmadd_ps(Set(kExp2C4), f, Set(kExp2C3));
    p = _mm512_fmadd_ps(p, f, Set(kExp2C2));
    p = _mm512_fmadd_ps(p, f, Set(kExp2C1));
    p = _mm512_fmadd_ps(p, f, Set(1.0f));
    return _mm512_scalef_ps(p, x);
  }
  // (bf16(low[i]), bf16(high[i])) of each lane.
  static HWY_INLINE Pairs RoundPairs(Float low, Float high) {
    const __m512i both =
        reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
    const __m512i interleave = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
        6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(interleave, both);
  }
  static HWY_INLINE void StoreLanes(uint32_t* p, __m512i x) {
    _mm512_store_si512(p, x);
  }
  static HWY_INLINE __m512 LoadLanes(const float* p) {
    return _mm512_load_ps(p);
  }
};

struct Ymm {
  using Float = __m256;
  using Pairs = __m256i;
  using Mask = __mmask8;
  static constexpr int kLanes = 8;

  static HWY_INLINE Float Set(float x) { return _mm256_set1_ps(x); }
  static HWY_INLINE Float Load(const float* p) { return _mm256_load_ps(p); }
  static HWY_INLINE void Store(float* p, Float x) { _mm256_store_ps(p, x); }
  static HWY_INLINE void StoreU(float* p, Float x) { _mm256_storeu_ps(p, x); }
  static HWY_INLINE Pairs LoadPairs(const uint32_t* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  }
  static HWY_INLINE void StorePairs(float* p, Pairs x) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(p), x);
  }
  static HWY_INLINE Pairs SetPair(const char* p) {
    return _mm256_set1_epi32(PairAt(p));
  }
  static HWY_INLINE Float Dot(Float acc, Pairs a, Pairs b) {
    return _mm256_dpbf16_ps(acc, reinterpret_cast<__m256bh>(a),
                            reinterpret_cast<__m256bh>(b));
  }
  static HWY_INLINE Float Add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static HWY_INLINE Float Sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static HWY_INLINE Float Mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static HWY_INLINE Float MulSub(Float a, Float b, Float c) {
    return _mm256_fmsub_ps(a, b, c);
  }
  static HWY_INLINE Float Max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static HWY_INLINE Float MaxWhere(Mask m, Float a, Float b) {
    return _mm256_mask_max_ps(a, m, a, b);
  }
  static HWY_INLINE Float Where(Mask m, Float x) {
    return _mm256_maskz_mov_ps(m, x);
  }
  static HWY_INLINE bool AnyBelow(Float a, Float b) {
    return _mm256_cmp_ps_mask(a, b, _CMP_LT_OQ) != 0;
  }
  static HWY_INLINE Mask IsAbove(const int32_t* p, int32_t x) {
    return _mm256_cmpgt_epi32_mask(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
        _mm256_set1_epi32(x));
  }
  static HWY_INLINE Float Exp2(Float x) {
    const Float f = _mm256_reduce_ps(x, kReduceToFraction);
    Float p = _mm256_fmadd_ps(Set(kExp2C4), f, Set(kExp2C3));
    p = _mm256_fmadd_ps(p, f, Set(kExp2C2));
    p = _mm256_fmadd_ps(p, f, Set(kExp2C1));
    p = _mm256_fmadd_ps(p, f, Set(1.0f));
    return _mm256_scalef_ps(p, x);
  }
  static HWY_INLINE Pairs RoundPairs(Float low, Float high) {
    const __m256i both =
        reinterpret_cast<__m256i>(_mm256_cvtne2ps_pbh(high, low));
    const __m256i interleave =
        _mm256_set_epi16(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
    return _mm256_permutexvar_epi16(interleave, both);
  }
  // The lower half of x; p[0..8) as the lower half of 16 lanes.
  static HWY_INLINE void StoreLanes(uint32_t* p, __m512i x) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(p),
                       _mm512_castsi512_si256(x));
  }
  static HWY_INLINE __m512 LoadLanes(const float* p) {
    return _mm512_zextps256_ps512(_mm256_load_ps(p));
  }
};

// (even[i], odd[i]) of 32 words to out[0..32).
HWY_INLINE void InterleaveWords(__m512i even, __m512i odd, uint32_t* out) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11,
                                       42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                       5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high =
      _mm512_add_epi16(low, _mm512_set1_epi16(16));  // the upper 16 of each
  _mm512_store_si512(out, _mm512_permutex2var_epi16(even, low, odd));
  _mm512_store_si512(out + 16, _mm512_permutex2var_epi16(even, high, odd));
}

// Rows become columns: element j of v[i] is element i of the old v[j].
HWY_INLINE void Transpose16x16(__m512i (&v)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // 128-bit lane l of v[4 a + b] is now column 4 l + b of rows 4 a .. 4 a + 3.
  for (int b = 0; b < 4; ++b) {
    t[b] = _mm512_shuffle_i32x4(v[b], v[4 + b], 0x88);
    t[4 + b] = _mm512_shuffle_i32x4(v[b], v[4 + b], 0xdd);
    t[8 + b] = _mm512_shuffle_i32x4(v[8 + b], v[12 + b], 0x88);
    t[12 + b] = _mm512_shuffle_i32x4(v[8 + b], v[12 + b], 0xdd);
  }
  for (int b = 0; b < 4; ++b) {
    v[b] = _mm512_shuffle_i32x4(t[b], t[8 + b], 0x88);
    v[4 + b] = _mm512_shuffle_i32x4(t[4 + b], t[12 + b], 0x88);
    v[8 + b] = _mm512_shuffle_i32x4(t[b], t[8 + b], 0xdd);
    v[12 + b] = _mm512_shuffle_i32x4(t[4 + b], t[12 + b], 0xdd);
  }
}

}  // namespace
}  // namespace seer

HWY_POP_ATTRIBUTES

#endif  // SEER_KERNELS_ATTENTION_CPU_BF16_VECTORS_INL_H_
