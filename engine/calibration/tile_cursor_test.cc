#include "engine/calibration/tile_cursor.h"

#include <cstdint>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr auto kOk = absl::StatusCode::kOk;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kTooEarly = absl::StatusCode::kFailedPrecondition;

TileRange Range(int64_t first_tile, int64_t last_tile) {
  static const float kAnything = 0.0f;
  TileRange range;
  range.first_tile = first_tile;
  range.last_tile = last_tile;
  range.pooled_queries = &kAnything;
  range.pooled_keys = &kAnything;
  range.target = &kAnything;
  range.row_len = last_tile;
  return range;
}

// A cursor in a sequence of 8 tiles, the last of them ragged.
class TileCursorTest : public testing::Test {
 protected:
  absl::StatusCode Advance(int64_t first_tile, int64_t last_tile) {
    return cursor_.Advance(Range(first_tile, last_tile)).code();
  }

  TileCursor cursor_{{7 * 64 + 1}};
};

TEST_F(TileCursorTest, WalksThroughTheSequences) {
  TileCursor cursor({65, 64});
  EXPECT_FALSE(cursor.is_complete());
  EXPECT_EQ(cursor.sequence_len(), 65);
  EXPECT_EQ(cursor.num_tiles(), 2);
  EXPECT_TRUE(cursor.Advance(Range(0, 1)).ok());
  EXPECT_TRUE(cursor.Advance(Range(1, 2)).ok());
  EXPECT_TRUE(cursor.EndSequence().ok());
  EXPECT_EQ(cursor.sequence_len(), 64);
  EXPECT_EQ(cursor.num_tiles(), 1);
  EXPECT_TRUE(cursor.Advance(Range(0, 1)).ok());
  EXPECT_FALSE(cursor.is_complete());
  EXPECT_TRUE(cursor.EndSequence().ok());
  EXPECT_TRUE(cursor.is_complete());
  EXPECT_EQ(cursor.Advance(Range(0, 1)).code(), kTooEarly);
  EXPECT_EQ(cursor.EndSequence().code(), kTooEarly);
}

TEST_F(TileCursorTest, OnlyTheNextRangeMovesIt) {
  EXPECT_EQ(Advance(-1, 3), kInvalid);
  EXPECT_EQ(Advance(1, 3), kInvalid) << "no loss: from tile 0";
  ASSERT_EQ(Advance(0, 3), kOk);
  EXPECT_EQ(Advance(0, 4), kInvalid);
  EXPECT_EQ(Advance(2, 4), kInvalid);
  EXPECT_EQ(Advance(4, 5), kInvalid);
  EXPECT_EQ(Advance(3, 3), kInvalid);
  EXPECT_EQ(Advance(3, 9), kInvalid);
  EXPECT_EQ(cursor_.EndSequence().code(), kTooEarly);
  EXPECT_EQ(Advance(3, 8), kOk);
  EXPECT_EQ(Advance(8, 9), kInvalid);
  EXPECT_TRUE(cursor_.EndSequence().ok());
}

TEST_F(TileCursorTest, ALossIsWhereASequenceMayBegin) {
  const auto begin = [](GateLoss loss, int64_t first_tile) {
    TileCursor cursor({7 * 64 + 1}, loss);
    return cursor.Advance(Range(first_tile, 8)).code();
  };
  EXPECT_EQ(begin(GateLoss::kKl, -1), kInvalid);
  EXPECT_EQ(begin(GateLoss::kKl, 0), kOk);
  EXPECT_EQ(begin(GateLoss::kKl, 2), kOk);
  EXPECT_EQ(begin(GateLoss::kKl, 3), kInvalid);
  EXPECT_EQ(begin(GateLoss::kMse, 0), kOk);
  EXPECT_EQ(begin(GateLoss::kMse, 1), kInvalid);
  // Only the first range: later ones leave no gap.
  TileCursor cursor({7 * 64 + 1}, GateLoss::kKl);
  ASSERT_TRUE(cursor.Advance(Range(0, 1)).ok());
  EXPECT_EQ(cursor.Advance(Range(2, 8)).code(), kInvalid);
}

TEST_F(TileCursorTest, RefusesShortRowsAndMissingPointers) {
  TileRange range = Range(0, 4);
  range.row_len = 3;
  EXPECT_EQ(cursor_.Advance(range).code(), kInvalid);
  for (const float* TileRange::*pointer :
       {&TileRange::pooled_queries, &TileRange::pooled_keys,
        &TileRange::target}) {
    range = Range(0, 4);
    range.*pointer = nullptr;
    EXPECT_EQ(cursor_.Advance(range).code(), kInvalid);
  }
  EXPECT_EQ(Advance(0, 4), kOk);
}

}  // namespace
}  // namespace seer
