// The rows of the AVX512-BF16 kernel on their way in and out: queries and
// values into the order that dot products take, results back into rows.
// Included by panel_bf16.cc only.
#ifndef SEER_KERNELS_ATTENTION_CPU_BF16_ROWS_INL_H_
#define SEER_KERNELS_ATTENTION_CPU_BF16_ROWS_INL_H_

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "hwy/base.h"
#include "kernels/attention/cpu/bf16_vectors-inl.h"
#include "kernels/attention/cpu/panel.h"

HWY_PUSH_ATTRIBUTES(SEER_AVX512_BF16_TARGET)

namespace seer {
namespace {

constexpr float kLn2 = 0.693147180559945309f;

// kVectors vectors of query rows, and their state between blocks. Arrays are
// [..][kWidth] with kWidth = lanes * kVectors.
struct RowGroup {
  int first_row = 0;
  int num_rows = 0;
  uint32_t* queries = nullptr;  // channel pairs [head_dim / 2, kWidth]
  float* outputs = nullptr;     // [padded_dim, kWidth], not yet divided by sum
  float* maxima = nullptr;      // [kWidth], of score * scale * log2(e)
  float* sums = nullptr;        // [kWidth]
};

// A number that is `head_dim` when kHeadDim is 0 and known to the compiler
// otherwise.
template <int kHeadDim>
HWY_INLINE int HeadDim(const Panel& panel) {
  return kHeadDim != 0 ? kHeadDim : panel.head_dim;
}

// Interleaves the values of tokens 2j and 2j + 1: pairs [32, padded_dim].
// Tokens at or past num_tokens, and channels past head_dim, become 0.
void PairValues(const BFloat16* values, int num_tokens, int head_dim,
                int padded_dim, uint32_t* pairs) {
  for (int j = 0; j < kBlockSize / 2; ++j) {
    const int first = 2 * j;
    for (int d = 0; d < padded_dim; d += 32) {
      const int width = std::min(32, head_dim - d);
      const __mmask32 all = ~__mmask32{0} >> (32 - width);
      const __mmask32 even = first < num_tokens ? all : 0;
      const __mmask32 odd = first + 1 < num_tokens ? all : 0;
      const BFloat16* at = values + first * head_dim + d;
      InterleaveWords(_mm512_maskz_loadu_epi16(even, at),
                      _mm512_maskz_loadu_epi16(odd, at + head_dim),
                      pairs + j * padded_dim + d);
    }
  }
}

// Queries of the group as channel pairs, lanes being rows; absent rows are 0.
template <class V, int kVectors>
void PackQueries(const Panel& panel, const RowGroup& group, int head_dim) {
  constexpr int kWidth = V::kLanes * kVectors;
  const int num_pairs = head_dim / 2;
  for (int r = 0; r < kVectors; ++r) {
    const int row = group.first_row + r * V::kLanes;
    const int num_rows =
        std::min(V::kLanes, group.first_row + group.num_rows - row);
    for (int p = 0; p < num_pairs; p += 16) {
      __m512i tile[16];
      const __mmask16 present = FirstLanes(num_pairs - p);
      for (int i = 0; i < 16; ++i) {
        tile[i] =
            i < num_rows
                ? _mm512_maskz_loadu_epi32(
                      present,
                      static_cast<const uint32_t*>(panel.queries[row + i]) + p)
                : _mm512_setzero_si512();
      }
      Transpose16x16(tile);
      const int count = std::min(16, num_pairs - p);
      for (int i = 0; i < count; ++i) {
        V::StoreLanes(group.queries + (p + i) * kWidth + r * V::kLanes,
                      tile[i]);
      }
    }
  }
}

// Divides outputs by their sums and writes rows out.
template <class V, int kVectors, int kHeadDim>
void WriteRows(const Panel& panel, const RowGroup& group) {
  constexpr int kWidth = V::kLanes * kVectors;
  const int head_dim = HeadDim<kHeadDim>(panel);
  const bool narrow = panel.out_dtype == DType::kBFloat16;
  const int num_words = narrow ? head_dim / 2 : head_dim;  // of 32 bits
  for (int r = 0; r < kVectors; ++r) {
    const int row = group.first_row + r * V::kLanes;
    const int num_rows =
        std::min(V::kLanes, group.first_row + group.num_rows - row);
    const __m512 inverse = _mm512_div_ps(
        _mm512_set1_ps(1.0f), V::LoadLanes(group.sums + r * V::kLanes));
    const float* out = group.outputs + r * V::kLanes;
    for (int w = 0; w < num_words; w += 16) {
      __m512i tile[16];
      for (int i = 0; i < 16; ++i) {
        const int d = narrow ? 2 * (w + i) : w + i;
        if (w + i >= num_words) {
          tile[i] = _mm512_setzero_si512();
        } else if (narrow) {
          tile[i] = Zmm::RoundPairs(
              _mm512_mul_ps(V::LoadLanes(out + d * kWidth), inverse),
              _mm512_mul_ps(V::LoadLanes(out + (d + 1) * kWidth), inverse));
        } else {
          tile[i] = _mm512_castps_si512(
              _mm512_mul_ps(V::LoadLanes(out + d * kWidth), inverse));
        }
      }
      Transpose16x16(tile);
      for (int i = 0; i < num_rows; ++i) {
        if (panel.outs[row + i] == nullptr) continue;
        _mm512_mask_storeu_epi32(
            static_cast<uint32_t*>(panel.outs[row + i]) + w,
            FirstLanes(num_words - w), tile[i]);
      }
    }
    for (int i = 0; i < num_rows; ++i) {
      float* const lse = panel.log_sum_exps[row + i];
      const int lane = r * V::kLanes + i;
      if (lse == nullptr) continue;
      *lse = kLn2 * group.maxima[lane] + std::log(group.sums[lane]);
    }
  }
}

}  // namespace
}  // namespace seer

HWY_POP_ATTRIBUTES

#endif  // SEER_KERNELS_ATTENTION_CPU_BF16_ROWS_INL_H_
