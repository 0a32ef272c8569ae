#include "engine/calibration/plan/tile_spans.h"

#include <algorithm>

namespace seer {
namespace {

int64_t SpanSize(int64_t first, const SpanLimits& limits) {
  int64_t size = std::clamp<int64_t>(limits.max_tiles * limits.attention_tiles /
                                         (limits.attention_tiles + first),
                                     1, limits.max_tiles);
  while (size > 1 &&
         size * (first + size) * limits.num_query_heads > limits.max_entries) {
    --size;
  }
  return size;
}

}  // namespace

std::vector<TileSpan> CutIntoSpans(int64_t num_tiles, int64_t border,
                                   const SpanLimits& limits) {
  // A border saves what fits into one span less than a second one costs.
  if (SpanSize(0, limits) >= num_tiles) return {{0, num_tiles}};
  std::vector<TileSpan> spans;
  for (int64_t first = 0; first < num_tiles;) {
    const int64_t end = first < border ? border : num_tiles;
    const int64_t last = std::min(end, first + SpanSize(first, limits));
    spans.push_back({first, last});
    first = last;
  }
  return spans;
}

}  // namespace seer
