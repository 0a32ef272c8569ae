// How a sequence is cut into the ranges that one micro-step takes. No torch.
#ifndef SEER_ENGINE_CALIBRATION_PLAN_TILE_SPANS_H_
#define SEER_ENGINE_CALIBRATION_PLAN_TILE_SPANS_H_

#include <cstdint>
#include <vector>

namespace seer {

// Tiles [first, last).
struct TileSpan {
  int64_t first = 0;
  int64_t last = 0;

  int64_t size() const { return last - first; }
};

struct SpanLimits {
  int64_t max_tiles = 4;  // of a span; >= 1
  // The depth at which a tile's attention costs as much as the rest of a layer
  // does: a span that begins there has half of max_tiles. >= 1.
  int64_t attention_tiles = 64;
  int32_t num_query_heads = 1;
  // Of a span, in (tile, query head, block) triples: what pooled attention
  // takes memory by. Passed by a span of one tile only.
  int64_t max_entries = 1 << 19;
};

// All tiles of a sequence, ascending without a gap, in spans that cost about
// the same; none spans `border`, in 0..num_tiles, unless it is the only one. A
// function of its arguments alone: sums are made span by span, so with these
// they come out the same.
std::vector<TileSpan> CutIntoSpans(int64_t num_tiles, int64_t border,
                                   const SpanLimits& limits);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_PLAN_TILE_SPANS_H_
