#include "kernels/attention/cpu/panel_float.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/cpu/panel_float.cc"
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/attention/cpu/float_vectors-inl.h"
#include "kernels/cpu/floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::max() / 4;

// kVectors vectors of query rows, and their state between blocks. Arrays are
// [..][kWidth] with kWidth = kLanes * kVectors.
struct RowGroup {
  int first_row = 0;
  int num_rows = 0;
  float* queries = nullptr;  // [head_dim, kWidth]
  float* outputs = nullptr;  // [padded_dim, kWidth], not yet divided by sum
  float* maxima = nullptr;   // [kWidth], of score * scale
  float* sums = nullptr;     // [kWidth]
};

// What the row groups of a panel share while they read one block.
struct BlockView {
  const float* keys = nullptr;       // [64, head_dim]
  const float* values = nullptr;     // [64, value_stride]
  int value_stride = 0;              // >= head_dim rounded up to kColumns
  const int32_t* visible = nullptr;  // [kPanelRows]; null: all see all
  // To be asked for meanwhile; null: nothing, or already. Bytes of each half.
  KvBlock next;
  ptrdiff_t next_bytes = 0;
  BlockScores* scores = nullptr;  // to be filled, or null
};

// Asks for a part of 1 / parts of the next block's keys or values: pages lie
// anywhere, so the hardware cannot foresee the next one.
HWY_INLINE void Prefetch(const void* begin, ptrdiff_t bytes, int part,
                         int parts) {
  if (begin == nullptr) return;
  const char* p = static_cast<const char*>(begin);
  const ptrdiff_t end = bytes * (part + 1) / parts;
  for (ptrdiff_t i = bytes * part / parts; i < end; i += 64) {
    __builtin_prefetch(p + i, /*rw=*/0, /*locality=*/2);
  }
}

// Whether each lane's row sees key `key`.
HWY_INLINE hn::Mask<FloatTag> Sees(const int32_t* visible, int key) {
  const IntTag di;
  return hn::RebindMask(FloatTag(),
                        hn::Gt(hn::LoadU(di, visible), hn::Set(di, key)));
}

// Scaled scores of the first num_keys keys (rounded up to kColumns) to
// scores [64, kWidth]; block_max gets the largest visible one of each row.
template <int kVectors, int kColumns, bool kMasked>
HWY_INLINE void Score(const RowGroup& group, const BlockView& block,
                      int head_dim, float scale, int num_keys, float* scores,
                      Vector (&block_max)[kVectors]) {
  constexpr int kWidth = kLanes * kVectors;
  const FloatTag d;
#pragma GCC unroll 2
  for (int r = 0; r < kVectors; ++r) block_max[r] = hn::Set(d, kLowest);
  for (int key = 0; key < num_keys; key += kColumns) {
    Prefetch(block.next.keys, block.next_bytes, key / kColumns,
             kBlockSize / kColumns);
    Vector acc[kVectors][kColumns];
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) acc[r][c] = hn::Zero(d);
    }
    MultiplySteps<kVectors, kColumns>(
        group.queries, block.keys + key * head_dim, head_dim, 1, head_dim, acc);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
      for (int r = 0; r < kVectors; ++r) {
        Vector candidate = hn::Mul(acc[r][c], hn::Set(d, scale));
        hn::Store(candidate, d, scores + (key + c) * kWidth + r * kLanes);
        if (kMasked) {
          candidate = hn::IfThenElse(
              Sees(block.visible + group.first_row + r * kLanes, key + c),
              candidate, block_max[r]);
        }
        block_max[r] = hn::Max(block_max[r], candidate);
      }
    }
  }
}

// Turns scores into probabilities relative to the new maxima, in place, and
// adds them to the group's sums.
template <int kVectors, bool kMasked>
HWY_INLINE void Exponentiate(const RowGroup& group, const BlockView& block,
                             int num_keys, const Vector (&maxima)[kVectors],
                             float* scores) {
  constexpr int kWidth = kLanes * kVectors;
  const FloatTag d;
  for (int r = 0; r < kVectors; ++r) {
    Vector sum = hn::Zero(d);
    for (int key = 0; key < num_keys; ++key) {
      float* s = scores + key * kWidth + r * kLanes;
      Vector p = Exp(hn::Sub(hn::Load(d, s), maxima[r]));
      if (kMasked) {
        p = hn::IfThenElseZero(
            Sees(block.visible + group.first_row + r * kLanes, key), p);
      }
      sum = hn::Add(sum, p);
      hn::Store(p, d, s);
    }
    float* const sums = group.sums + r * kLanes;
    hn::Store(hn::Add(hn::Load(d, sums), sum), d, sums);
    if (block.scores != nullptr) {
      hn::StoreU(sum, d, &block.scores->sums[group.first_row + r * kLanes]);
    }
  }
}

template <int kVectors, int kColumns, bool kMasked>
HWY_INLINE void AttendBlock(const RowGroup& group, const BlockView& block,
                            int head_dim, float scale, int num_keys,
                            float* scores) {
  constexpr int kWidth = kLanes * kVectors;
  const FloatTag d;
  Vector maxima[kVectors];
  Score<kVectors, kColumns, kMasked>(group, block, head_dim, scale, num_keys,
                                     scores, maxima);
  Vector decay[kVectors];
#pragma GCC unroll 2
  for (int r = 0; r < kVectors; ++r) {
    float* const state = group.maxima + r * kLanes;
    float* const sums = group.sums + r * kLanes;
    const Vector old = hn::Load(d, state);
    const Vector block_max = maxima[r];
    maxima[r] = hn::Max(old, block_max);
    if (block.scores != nullptr) {
      const int row = group.first_row + r * kLanes;
      hn::StoreU(maxima[r], d, &block.scores->references[row]);
      hn::StoreU(hn::Sub(block_max, maxima[r]), d, &block.scores->maxima[row]);
    }
    decay[r] = Exp(hn::Sub(old, maxima[r]));
    hn::Store(maxima[r], d, state);
    hn::Store(hn::Mul(hn::Load(d, sums), decay[r]), d, sums);
  }
  Exponentiate<kVectors, kMasked>(group, block, num_keys, maxima, scores);
  for (int column = 0; column < head_dim; column += kColumns) {
    Prefetch(block.next.values, block.next_bytes, column / kColumns,
             (head_dim + kColumns - 1) / kColumns);
    Vector acc[kVectors][kColumns];
    float* const out = group.outputs + column * kWidth;
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) {
        acc[r][c] =
            hn::Mul(hn::Load(d, out + c * kWidth + r * kLanes), decay[r]);
      }
    }
    MultiplySteps<kVectors, kColumns>(scores, block.values + column, 1,
                                      block.value_stride, num_keys, acc);
#pragma GCC unroll 2
    for (int r = 0; r < kVectors; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) {
        hn::Store(acc[r][c], d, out + c * kWidth + r * kLanes);
      }
    }
  }
}

// `head_dim` of the panel, known to the compiler unless kHeadDim is 0.
template <int kHeadDim>
HWY_INLINE int HeadDim(const Panel& panel) {
  return kHeadDim != 0 ? kHeadDim : panel.head_dim;
}

template <int kVectors, int kColumns, int kHeadDim>
void AttendGroup(const Panel& panel, const RowGroup& group,
                 const BlockView& block, float* scores) {
  const int head_dim = HeadDim<kHeadDim>(panel);
  if (block.visible == nullptr) {
    AttendBlock<kVectors, kColumns, false>(group, block, head_dim, panel.scale,
                                           kBlockSize, scores);
    return;
  }
  const int32_t* visible = block.visible + group.first_row;
  const int num_keys = *std::max_element(visible, visible + group.num_rows);
  AttendBlock<kVectors, kColumns, true>(group, block, head_dim, panel.scale,
                                        num_keys, scores);
}

// Widens n elements.
void ToFloats(DType dtype, const void* from, int n, float* to) {
  if (dtype == DType::kFloat32) {
    std::copy_n(static_cast<const float*>(from), n, to);
    return;
  }
  const FloatTag d;
  const BFloat16* narrow = static_cast<const BFloat16*>(from);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    hn::StoreU(LoadFloats(d, narrow + i), d, to + i);
  }
  for (; i < n; ++i) to[i] = static_cast<float>(narrow[i]);
}

// Queries with lanes being rows, absent rows 0; no state.
template <int kVectors, int kHeadDim>
void StartGroup(const Panel& panel, const RowGroup& group, int padded_dim) {
  constexpr int kWidth = kLanes * kVectors;
  const int head_dim = HeadDim<kHeadDim>(panel);
  std::fill_n(group.queries, head_dim * kWidth, 0.0f);
  for (int i = 0; i < group.num_rows; ++i) {
    float row[kMaxHeadDim];
    ToFloats(panel.dtype, panel.queries[group.first_row + i], head_dim, row);
    for (int d = 0; d < head_dim; ++d) group.queries[d * kWidth + i] = row[d];
  }
  std::fill_n(group.outputs, padded_dim * kWidth, 0.0f);
  std::fill_n(group.maxima, kWidth, kLowest);
  std::fill_n(group.sums, kWidth, 0.0f);
}

// Divides outputs by their sums and writes rows out.
template <int kVectors, int kHeadDim>
void WriteRows(const Panel& panel, const RowGroup& group) {
  constexpr int kWidth = kLanes * kVectors;
  const int head_dim = HeadDim<kHeadDim>(panel);
  for (int i = 0; i < group.num_rows; ++i) {
    const int row = group.first_row + i;
    for (int d = 0; d < head_dim && panel.outs[row] != nullptr; ++d) {
      const float value = group.outputs[d * kWidth + i] / group.sums[i];
      if (panel.out_dtype == DType::kFloat32) {
        static_cast<float*>(panel.outs[row])[d] = value;
      } else {
        static_cast<BFloat16*>(panel.outs[row])[d] = BFloat16(value);
      }
    }
    if (panel.log_sum_exps[row] != nullptr) {
      *panel.log_sum_exps[row] = group.maxima[i] + std::log(group.sums[i]);
    }
  }
}

// A group of one width, as functions: panels mix widths.
struct GroupKernel {
  int width;  // rows
  void (*start)(const Panel&, const RowGroup&, int padded_dim);
  void (*attend)(const Panel&, const RowGroup&, const BlockView&,
                 float* scores);
  void (*write)(const Panel&, const RowGroup&);
};

template <int kVectors, int kColumns, int kHeadDim>
constexpr GroupKernel kGroupKernel = {
    kLanes* kVectors, &StartGroup<kVectors, kHeadDim>,
    &AttendGroup<kVectors, kColumns, kHeadDim>, &WriteRows<kVectors, kHeadDim>};

// As many accumulators as hide the multiply-adds' latency and leave registers
// for operands, of 32 or 16.
constexpr int kAccumulators = HWY_TARGET == HWY_AVX3 ? 16 : 8;

// The narrowest group that holds num_rows rows, or the widest.
template <int kHeadDim>
const GroupKernel& KernelFor(int num_rows) {
  return num_rows <= kLanes ? kGroupKernel<1, kAccumulators, kHeadDim>
                            : kGroupKernel<2, kAccumulators / 2, kHeadDim>;
}

// Points `view` at the block's keys and values as fp32, in place or copied.
void ViewBlock(const Panel& panel, const KvBlock& block, int head_dim,
               PanelScratch& scratch, BlockView* view) {
  if (panel.dtype == DType::kFloat32) {
    view->keys = static_cast<const float*>(block.keys);
  } else {
    ToFloats(panel.dtype, block.keys, kBlockSize * head_dim, scratch.keys());
    view->keys = scratch.keys();
  }
  const bool whole_columns = head_dim % kAccumulators == 0;
  if (panel.dtype == DType::kFloat32 && whole_columns) {
    view->values = static_cast<const float*>(block.values);
    view->value_stride = head_dim;
    return;
  }
  view->values = scratch.values();
  view->value_stride = scratch.padded_dim();
  const char* row = static_cast<const char*>(block.values);
  for (int i = 0; i < kBlockSize; ++i) {
    ToFloats(panel.dtype, row, head_dim,
             scratch.values() + i * scratch.padded_dim());
    row += int64_t{head_dim} * SizeOf(panel.dtype);
  }
}

template <int kHeadDim>
void AttendPanel(const Panel& panel, PanelScratch& scratch) {
  const int head_dim = HeadDim<kHeadDim>(panel);
  const int padded_dim = scratch.padded_dim();
  RowGroup groups[kPanelRows];
  const GroupKernel* kernels[kPanelRows];
  int num_groups = 0;
  for (int row = 0; row < panel.num_rows; ++num_groups) {
    const GroupKernel& kernel = KernelFor<kHeadDim>(panel.num_rows - row);
    RowGroup& group = groups[num_groups];
    group.first_row = row;
    group.num_rows = std::min(kernel.width, panel.num_rows - row);
    group.queries = scratch.queries() + row * padded_dim;
    group.outputs = scratch.outputs() + row * padded_dim;
    group.maxima = scratch.maxima() + row;
    group.sums = scratch.sums() + row;
    kernel.start(panel, group, padded_dim);
    kernels[num_groups] = &kernel;
    row += group.num_rows;
  }

  int32_t visible[kPanelRows] = {};  // 0 for absent rows
  std::copy_n(panel.last_block_keys.begin(), panel.num_rows, visible);
  const bool masked =
      *std::min_element(visible, visible + panel.num_rows) < kBlockSize;
  for (size_t b = 0; b < panel.blocks.size(); ++b) {
    BlockView block;
    ViewBlock(panel, panel.blocks[b], head_dim, scratch, &block);
    block.visible = masked && b + 1 == panel.blocks.size() ? visible : nullptr;
    if (b + 1 < panel.blocks.size()) {
      block.next = panel.blocks[b + 1];
      block.next_bytes = int64_t{kBlockSize} * head_dim * SizeOf(panel.dtype);
    }
    if (panel.block_scores != nullptr) block.scores = panel.block_scores + b;
    for (int g = 0; g < num_groups; ++g) {
      kernels[g]->attend(panel, groups[g], block, scratch.scores());
      block.next = {};
    }
  }
  for (int g = 0; g < num_groups; ++g) kernels[g]->write(panel, groups[g]);
}

}  // namespace

PanelKernel KernelOfHeadDim(int head_dim) {
  switch (head_dim) {
    case 64:
      return &AttendPanel<64>;
    case 128:
      return &AttendPanel<128>;
    default:
      return &AttendPanel<0>;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seer {

PanelKernel FloatPanelKernel(InstructionSet instruction_set, int head_dim) {
  switch (instruction_set) {
    case InstructionSet::kAvx512Bf16:
    case InstructionSet::kAvx512:
#if HWY_TARGETS & HWY_AVX3
      return N_AVX3::KernelOfHeadDim(head_dim);
#endif
    case InstructionSet::kAvx2:
#if HWY_TARGETS & HWY_AVX2
      return N_AVX2::KernelOfHeadDim(head_dim);
#endif
    case InstructionSet::kBaseline:
      break;
  }
  return HWY_STATIC_DISPATCH(KernelOfHeadDim)(head_dim);
}

}  // namespace seer
#endif  // HWY_ONCE
