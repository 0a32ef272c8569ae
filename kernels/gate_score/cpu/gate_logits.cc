#include "kernels/gate_score/cpu/gate_logits.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/gate_score/cpu/gate_tiling.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gate_score/cpu/gate_logits.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {

constexpr int64_t kMaxHeadDim = 256;

// out [kGateTiles, kGatePanel] = scale * queries[t] . panel; each sums in
// channel order, whatever the vector's width.
HWY_INLINE void MultiplyPanel(const float* const* queries, const float* panel,
                              int64_t head_dim, float scale, float* out) {
  const hn::CappedTag<float, kGatePanel> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto scales = hn::Set(d, scale);
  for (int64_t j = 0; j < kGatePanel; j += lanes) {
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    auto s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    for (int64_t c = 0; c < head_dim; ++c) {
      const auto keys = hn::LoadU(d, panel + c * kGatePanel + j);
      s0 = hn::MulAdd(hn::Set(d, queries[0][c]), keys, s0);
      s1 = hn::MulAdd(hn::Set(d, queries[1][c]), keys, s1);
      s2 = hn::MulAdd(hn::Set(d, queries[2][c]), keys, s2);
      s3 = hn::MulAdd(hn::Set(d, queries[3][c]), keys, s3);
      s4 = hn::MulAdd(hn::Set(d, queries[4][c]), keys, s4);
      s5 = hn::MulAdd(hn::Set(d, queries[5][c]), keys, s5);
      s6 = hn::MulAdd(hn::Set(d, queries[6][c]), keys, s6);
      s7 = hn::MulAdd(hn::Set(d, queries[7][c]), keys, s7);
    }
    hn::StoreU(hn::Mul(s0, scales), d, out + 0 * kGatePanel + j);
    hn::StoreU(hn::Mul(s1, scales), d, out + 1 * kGatePanel + j);
    hn::StoreU(hn::Mul(s2, scales), d, out + 2 * kGatePanel + j);
    hn::StoreU(hn::Mul(s3, scales), d, out + 3 * kGatePanel + j);
    hn::StoreU(hn::Mul(s4, scales), d, out + 4 * kGatePanel + j);
    hn::StoreU(hn::Mul(s5, scales), d, out + 5 * kGatePanel + j);
    hn::StoreU(hn::Mul(s6, scales), d, out + 6 * kGatePanel + j);
    hn::StoreU(hn::Mul(s7, scales), d, out + 7 * kGatePanel + j);
  }
}

// panel [D, kGatePanel] = the entries of blocks [block, end); zeros past them.
template <typename T>
HWY_INLINE void FillPanel(const GateScoreArgs& args, const int32_t* page_table,
                          int64_t entry_head, int64_t block, int64_t end,
                          float* panel) {
  const int64_t head_dim = args.kv.head_dim;
  for (int64_t j = 0; j < kGatePanel; ++j) {
    if (block + j >= end) {
      for (int64_t c = 0; c < head_dim; ++c) panel[c * kGatePanel + j] = 0.0f;
      continue;
    }
    const T* const entry =
        static_cast<const T*>(args.key_entries) +
        (int64_t{page_table[block + j]} * args.num_entry_heads + entry_head) *
            head_dim;
    for (int64_t c = 0; c < head_dim; ++c) {
      panel[c * kGatePanel + j] = static_cast<float>(entry[c]);
    }
  }
}

// Logits of scored tiles [begin, end), at most kGateTiles, against one panel.
HWY_INLINE void ScoreTiles(const GateScoreArgs& args,
                           const float* query_entries, int64_t begin,
                           int64_t end, int64_t head, int64_t block,
                           const float* panel, float scale) {
  const int64_t head_dim = args.kv.head_dim;
  const float* queries[kGateTiles];
  for (int64_t t = 0; t < kGateTiles; ++t) {
    const int64_t scored = std::min(begin + t, end - 1);
    queries[t] =
        query_entries + (scored * args.num_query_heads + head) * head_dim;
  }
  HWY_ALIGN float scores[kGateTiles * kGatePanel];
  MultiplyPanel(queries, panel, head_dim, scale, scores);
  for (int64_t t = 0; begin + t < end; ++t) {
    const int64_t tile = args.tile_indices[begin + t];
    const int64_t num_visible = VisibleBlocks(args.batch.tiles[tile]) - block;
    float* const row = args.logits + (tile * args.num_query_heads + head) *
                                         args.logits_row_len;
    std::copy_n(scores + t * kGatePanel,
                std::max<int64_t>(0, std::min(num_visible, kGatePanel)),
                row + block);
  }
}

template <typename T>
void ScoreWork(const GateScoreArgs& args, const LogitWork& work,
               const float* query_entries, float scale) {
  const int64_t heads_per_entry = args.num_query_heads / args.num_entry_heads;
  const auto tile_at = [&](int64_t scored) -> const Tile& {
    return args.batch.tiles[args.tile_indices[scored]];
  };
  const int32_t* const page_table =
      args.batch.sequences[tile_at(work.tile_begin).sequence].page_table;
  HWY_ALIGN float panel[kMaxHeadDim * kGatePanel];
  for (int64_t block = work.block_begin; block < work.block_end;
       block += kGatePanel) {
    FillPanel<T>(args, page_table, work.entry_head, block, work.block_end,
                 panel);
    for (int64_t begin = work.tile_begin; begin < work.tile_end;
         begin += kGateTiles) {
      const int64_t end = std::min(begin + kGateTiles, work.tile_end);
      if (tile_at(end - 1).block < block) continue;  // ascending: none sees it
      for (int64_t h = 0; h < heads_per_entry; ++h) {
        ScoreTiles(args, query_entries, begin, end,
                   work.entry_head * heads_per_entry + h, block, panel, scale);
      }
    }
  }
}

void ScoreWorkFloat(const GateScoreArgs& args, const LogitWork& work,
                    const float* query_entries, float scale) {
  ScoreWork<float>(args, work, query_entries, scale);
}
void ScoreWorkBFloat16(const GateScoreArgs& args, const LogitWork& work,
                       const float* query_entries, float scale) {
  ScoreWork<BFloat16>(args, work, query_entries, scale);
}

}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seer {
namespace {

std::vector<LogitWork> SplitWork(const GateScoreArgs& args) {
  std::vector<LogitWork> result;
  const auto tile_at = [&](int64_t scored) -> const Tile& {
    return args.batch.tiles[args.tile_indices[scored]];
  };
  LogitWork work;
  while (work.tile_end < args.num_scored_tiles) {
    work.tile_begin = work.tile_end;
    const int32_t sequence = tile_at(work.tile_begin).sequence;
    while (work.tile_end < args.num_scored_tiles &&
           tile_at(work.tile_end).sequence == sequence) {
      ++work.tile_end;
    }
    const int64_t num_visible = VisibleBlocks(tile_at(work.tile_end - 1));
    for (int64_t head = 0; head < args.num_entry_heads; ++head) {
      for (int64_t b = 0; b < num_visible; b += kGateBlocksOfWork) {
        work.entry_head = head;
        work.block_begin = b;
        work.block_end = std::min(b + kGateBlocksOfWork, num_visible);
        result.push_back(work);
      }
    }
  }
  return result;
}

}  // namespace

HWY_EXPORT(ScoreWorkFloat);
HWY_EXPORT(ScoreWorkBFloat16);

void ComputeGateLogits(const GateScoreArgs& args, const float* query_entries,
                       Executor& executor) {
  const auto score = args.dtype == DType::kFloat32
                         ? HWY_DYNAMIC_DISPATCH(ScoreWorkFloat)
                         : HWY_DYNAMIC_DISPATCH(ScoreWorkBFloat16);
  const float scale = 1.0f / std::sqrt(static_cast<float>(args.kv.head_dim));
  const std::vector<LogitWork> work = SplitWork(args);
  executor.ParallelFor(static_cast<int64_t>(work.size()), [&](int64_t item) {
    score(args, work[item], query_entries, scale);
  });
}

}  // namespace seer
#endif  // HWY_ONCE
