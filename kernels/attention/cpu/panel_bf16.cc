#include "kernels/attention/cpu/panel_bf16.h"

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "hwy/base.h"
#include "kernels/attention/cpu/bf16_rows-inl.h"
#include "kernels/attention/cpu/bf16_vectors-inl.h"

HWY_PUSH_ATTRIBUTES(SEER_AVX512_BF16_TARGET)

namespace seer {
namespace {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLowest = -std::numeric_limits<float>::max() / 4;

// What the row groups of a panel share while they read one block.
struct BlockView {
  const char* keys = nullptr;        // bf16 [64, head_dim]
  const uint32_t* values = nullptr;  // token pairs [32, padded_dim]
  const int32_t* visible = nullptr;  // [kPanelRows]; null: all see all
  KvBlock next;  // to be asked for meanwhile; null: nothing, or already
  BlockScores* scores = nullptr;  // to be filled, or null
};

// Asks for bytes that are needed soon: pages lie anywhere, so the hardware
// cannot foresee the next one. In small portions, which do not stall.
HWY_INLINE void Prefetch(const void* begin, ptrdiff_t offset, ptrdiff_t bytes) {
  if (begin == nullptr) return;
  const char* p = static_cast<const char*>(begin) + offset;
  for (ptrdiff_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
}

// Here and below, loops over accumulators are unrolled so that the arrays live
// in registers.
//
// acc[r][c] += sum over s < steps, and both elements of each pair, of
// a[s][r] * b[s][c]. b's pairs lie column_bytes and step_bytes apart.
template <class V, int kVectors, int kColumns>
HWY_INLINE void DotSteps(const uint32_t* a, const char* b,
                         const ptrdiff_t column_bytes,
                         const ptrdiff_t step_bytes, int steps,
                         typename V::Float (&acc)[kVectors][kColumns]) {
  for (int s = 0; s < steps; ++s) {
    typename V::Pairs rows[kVectors];
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) {
      rows[r] = V::LoadPairs(a + r * V::kLanes);
    }
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
      const typename V::Pairs column = V::SetPair(b + c * column_bytes);
#pragma GCC unroll 2
      for (int r = 0; r < kVectors; ++r) {
        acc[r][c] = V::Dot(acc[r][c], rows[r], column);
      }
    }
    a += kVectors * V::kLanes;
    b += step_bytes;
  }
}

// Scores of the first num_keys keys (rounded up to kColumns) to
// scores [64, kWidth]; block_max gets the largest visible one of each row.
template <class V, int kVectors, int kColumns, bool kMasked>
HWY_INLINE void Score(const RowGroup& group, const BlockView& block,
                      int head_dim, int num_keys, float* scores,
                      typename V::Float (&block_max)[kVectors]) {
  constexpr int kWidth = V::kLanes * kVectors;
  const ptrdiff_t key_bytes = head_dim * ptrdiff_t{sizeof(BFloat16)};
#pragma GCC unroll 2
  for (int r = 0; r < kVectors; ++r) block_max[r] = V::Set(kLowest);
  for (int key = 0; key < num_keys; key += kColumns) {
    Prefetch(block.next.keys, key * key_bytes, kColumns * key_bytes);
    typename V::Float acc[kVectors][kColumns];
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) acc[r][c] = V::Set(0.0f);
    }
    DotSteps<V, kVectors, kColumns>(group.queries, block.keys + key * key_bytes,
                                    key_bytes, sizeof(uint32_t), head_dim / 2,
                                    acc);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
      for (int r = 0; r < kVectors; ++r) {
        V::Store(scores + (key + c) * kWidth + r * V::kLanes, acc[r][c]);
        if (kMasked) {
          block_max[r] = V::MaxWhere(
              V::IsAbove(block.visible + group.first_row + r * V::kLanes,
                         key + c),
              block_max[r], acc[r][c]);
        } else {
          block_max[r] = V::Max(block_max[r], acc[r][c]);
        }
      }
    }
  }
}

// Turns scores into probabilities relative to the new maxima, as bf16 pairs of
// keys [32, kWidth] in the same memory, and adds them to the group's sums.
template <class V, int kVectors, bool kMasked>
HWY_INLINE void Exponentiate(const RowGroup& group, const BlockView& block,
                             float log2_scale, int num_keys,
                             const typename V::Float (&maxima)[kVectors],
                             float* scores) {
  constexpr int kWidth = V::kLanes * kVectors;
  const typename V::Float factor = V::Set(log2_scale);
  for (int r = 0; r < kVectors; ++r) {
    typename V::Float sum = V::Set(0.0f);
    const int32_t* visible = block.visible + group.first_row + r * V::kLanes;
    for (int key = 0; key < num_keys; key += 2) {
      float* s = scores + key * kWidth + r * V::kLanes;
      typename V::Float p0 = V::Exp2(V::MulSub(V::Load(s), factor, maxima[r]));
      typename V::Float p1 =
          V::Exp2(V::MulSub(V::Load(s + kWidth), factor, maxima[r]));
      if (kMasked) {
        p0 = V::Where(V::IsAbove(visible, key), p0);
        p1 = V::Where(V::IsAbove(visible, key + 1), p1);
      }
      sum = V::Add(sum, V::Add(p0, p1));
      V::StorePairs(scores + (key / 2) * kWidth + r * V::kLanes,
                    V::RoundPairs(p0, p1));
    }
    float* const sums = group.sums + r * V::kLanes;
    V::Store(sums, V::Add(V::Load(sums), sum));
    if (block.scores != nullptr) {
      V::StoreU(&block.scores->sums[group.first_row + r * V::kLanes], sum);
    }
  }
}

template <class V, int kVectors, int kColumns, bool kMasked>
HWY_INLINE void AttendBlock(const RowGroup& group, const BlockView& block,
                            int head_dim, int padded_dim, float log2_scale,
                            int num_keys, float* scores) {
  constexpr int kWidth = V::kLanes * kVectors;
  typename V::Float maxima[kVectors];
  Score<V, kVectors, kColumns, kMasked>(group, block, head_dim, num_keys,
                                        scores, maxima);
  bool rescale = false;
  typename V::Float decay[kVectors];
#pragma GCC unroll 2
  for (int r = 0; r < kVectors; ++r) {
    float* const state = group.maxima + r * V::kLanes;
    float* const sums = group.sums + r * V::kLanes;
    const typename V::Float old = V::Load(state);
    const typename V::Float block_max = maxima[r];
    maxima[r] = V::Max(old, V::Mul(block_max, V::Set(log2_scale)));
    if (block.scores != nullptr) {
      const int row = group.first_row + r * V::kLanes;
      V::StoreU(&block.scores->references[row], maxima[r]);
      V::StoreU(&block.scores->maxima[row],
                V::MulSub(block_max, V::Set(log2_scale), maxima[r]));
    }
    decay[r] = V::Exp2(V::Sub(old, maxima[r]));
    rescale |= V::AnyBelow(old, maxima[r]);
    V::Store(state, maxima[r]);
    V::Store(sums, V::Mul(V::Load(sums), decay[r]));
  }
  Exponentiate<V, kVectors, kMasked>(group, block, log2_scale, num_keys, maxima,
                                     scores);
  constexpr ptrdiff_t value_bytes = kBlockSize * sizeof(BFloat16);
  for (int d = 0; d < head_dim; d += kColumns) {
    Prefetch(block.next.values, d * value_bytes, kColumns * value_bytes);
    typename V::Float acc[kVectors][kColumns];
    float* const out = group.outputs + d * kWidth;
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) {
        acc[r][c] = V::Load(out + c * kWidth + r * V::kLanes);
        if (rescale) acc[r][c] = V::Mul(acc[r][c], decay[r]);
      }
    }
    DotSteps<V, kVectors, kColumns>(
        reinterpret_cast<const uint32_t*>(scores),
        reinterpret_cast<const char*>(block.values + d), sizeof(uint32_t),
        padded_dim * ptrdiff_t{sizeof(uint32_t)}, num_keys / 2, acc);
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) {
        V::Store(out + c * kWidth + r * V::kLanes, acc[r][c]);
      }
    }
  }
}

template <class V, int kVectors, int kColumns, int kHeadDim>
void AttendGroup(const Panel& panel, const RowGroup& group,
                 const BlockView& block, int padded_dim, float* scores) {
  const float log2_scale = panel.scale * kLog2E;
  if (block.visible == nullptr) {
    AttendBlock<V, kVectors, kColumns, false>(
        group, block, HeadDim<kHeadDim>(panel), padded_dim, log2_scale,
        kBlockSize, scores);
    return;
  }
  const int32_t* visible = block.visible + group.first_row;
  int num_keys = *std::max_element(visible, visible + group.num_rows);
  num_keys = (num_keys + 1) / 2 * 2;
  AttendBlock<V, kVectors, kColumns, true>(group, block,
                                           HeadDim<kHeadDim>(panel), padded_dim,
                                           log2_scale, num_keys, scores);
}

template <class V, int kVectors, int kHeadDim>
void StartGroup(const Panel& panel, const RowGroup& group, int padded_dim) {
  constexpr int kWidth = V::kLanes * kVectors;
  PackQueries<V, kVectors>(panel, group, HeadDim<kHeadDim>(panel));
  std::fill_n(group.outputs, padded_dim * kWidth, 0.0f);
  std::fill_n(group.maxima, kWidth, kLowest);
  std::fill_n(group.sums, kWidth, 0.0f);
}

// A group of one width, as functions: panels mix widths.
struct GroupKernel {
  int width;  // rows
  void (*start)(const Panel&, const RowGroup&, int padded_dim);
  void (*attend)(const Panel&, const RowGroup&, const BlockView&,
                 int padded_dim, float* scores);
  void (*write)(const Panel&, const RowGroup&);
};

template <class V, int kVectors, int kColumns, int kHeadDim>
constexpr GroupKernel kGroupKernel = {
    V::kLanes* kVectors, &StartGroup<V, kVectors, kHeadDim>,
    &AttendGroup<V, kVectors, kColumns, kHeadDim>,
    &WriteRows<V, kVectors, kHeadDim>};

// The narrowest group that holds num_rows rows, or the widest. 16 accumulators
// keep the dot products' latency hidden and leave room for operands.
template <int kHeadDim>
const GroupKernel& KernelFor(int num_rows) {
  if (num_rows <= 8) return kGroupKernel<Ymm, 1, 16, kHeadDim>;
  if (num_rows <= 16) return kGroupKernel<Zmm, 1, 16, kHeadDim>;
  return kGroupKernel<Zmm, 2, 8, kHeadDim>;
}

template <int kHeadDim>
void AttendPanel(const Panel& panel, PanelScratch& scratch) {
  const int head_dim = HeadDim<kHeadDim>(panel);
  const int padded_dim = scratch.padded_dim();
  RowGroup groups[kPanelRows / 8];
  const GroupKernel* kernels[kPanelRows / 8];
  int num_groups = 0;
  for (int row = 0; row < panel.num_rows; ++num_groups) {
    const GroupKernel& kernel = KernelFor<kHeadDim>(panel.num_rows - row);
    RowGroup& group = groups[num_groups];
    group.first_row = row;
    group.num_rows = std::min(kernel.width, panel.num_rows - row);
    group.queries =
        reinterpret_cast<uint32_t*>(scratch.queries()) + row * padded_dim;
    group.outputs = scratch.outputs() + row * padded_dim;
    group.maxima = scratch.maxima() + row;
    group.sums = scratch.sums() + row;
    kernel.start(panel, group, padded_dim);
    kernels[num_groups] = &kernel;
    row += group.num_rows;
  }

  int32_t visible[kPanelRows] = {};  // 0 for absent rows
  std::copy_n(panel.last_block_keys.begin(), panel.num_rows, visible);
  const auto [fewest, most] =
      std::minmax_element(visible, visible + panel.num_rows);
  uint32_t* const pairs = reinterpret_cast<uint32_t*>(scratch.values());
  for (size_t b = 0; b < panel.blocks.size(); ++b) {
    const bool last = b + 1 == panel.blocks.size();
    BlockView block;
    block.keys = static_cast<const char*>(panel.blocks[b].keys);
    block.values = pairs;
    block.visible = last && *fewest < kBlockSize ? visible : nullptr;
    PairValues(static_cast<const BFloat16*>(panel.blocks[b].values),
               last ? *most : kBlockSize, head_dim, padded_dim, pairs);
    if (!last) block.next = panel.blocks[b + 1];
    if (panel.block_scores != nullptr) block.scores = panel.block_scores + b;
    for (int g = 0; g < num_groups; ++g) {
      kernels[g]->attend(panel, groups[g], block, padded_dim, scratch.scores());
      block.next = {};
    }
  }
  for (int g = 0; g < num_groups; ++g) kernels[g]->write(panel, groups[g]);
}

}  // namespace

PanelKernel Bf16PanelKernel(int head_dim) {
  switch (head_dim) {
    case 64:
      return &AttendPanel<64>;
    case 128:
      return &AttendPanel<128>;
    default:
      return &AttendPanel<0>;
  }
}

}  // namespace seer

HWY_POP_ATTRIBUTES
