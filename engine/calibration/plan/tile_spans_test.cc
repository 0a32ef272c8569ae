#include "engine/calibration/plan/tile_spans.h"

#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

// A span's cost, in tiles at depth 0, by the model that sizes spans.
double CostOf(const TileSpan& span, const SpanLimits& limits) {
  return static_cast<double>(span.size()) *
         (1.0 + static_cast<double>(span.first) / limits.attention_tiles);
}

TEST(TileSpansTest, CoverASequenceAtAboutOneCost) {
  SpanLimits limits;
  limits.max_tiles = 64;
  limits.attention_tiles = 100;
  limits.num_query_heads = 8;
  limits.max_entries = int64_t{1} << 40;
  constexpr int64_t kTiles = 2048;
  constexpr int64_t kBorder = kTiles / 4;
  int64_t next = 0;
  for (const TileSpan& span : CutIntoSpans(kTiles, kBorder, limits)) {
    ASSERT_EQ(span.first, next);
    ASSERT_GT(span.last, span.first);
    EXPECT_TRUE(span.last <= kBorder || span.first >= kBorder);
    EXPECT_LE(CostOf(span, limits), limits.max_tiles);
    // One tile more would have been too much, but before a border.
    const TileSpan longer = {span.first, span.last + 1};
    if (span.last != kBorder && span.last != kTiles) {
      EXPECT_GT(CostOf(longer, limits), limits.max_tiles);
    }
    next = span.last;
  }
  EXPECT_EQ(next, kTiles);
}

TEST(TileSpansTest, KeepToTheirMemory) {
  SpanLimits limits;
  limits.max_tiles = 64;
  limits.attention_tiles = 1000000;
  limits.num_query_heads = 32;
  limits.max_entries = 32 * 1000;
  for (const TileSpan& span : CutIntoSpans(2000, 0, limits)) {
    if (span.size() > 1) {
      EXPECT_LE(span.size() * span.last * 32, limits.max_entries);
    } else {
      EXPECT_GT(2 * (span.first + 2) * 32, limits.max_entries);
    }
  }
}

TEST(TileSpansTest, ShortSequences) {
  EXPECT_EQ(CutIntoSpans(1, 0, SpanLimits()).size(), 1u);
  EXPECT_EQ(CutIntoSpans(2, 0, SpanLimits()).size(), 1u);
  EXPECT_EQ(CutIntoSpans(4, 1, SpanLimits()).size(), 1u);
  EXPECT_EQ(CutIntoSpans(5, 1, SpanLimits()).front().last, 1);
}

}  // namespace
}  // namespace seer
