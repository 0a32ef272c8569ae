#include "tests/testing/kernels/cases/ragged_case.h"

#include <set>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(RaggedCaseTest, PromptTilesComeFirst) {
  const RaggedCase c(
      {GeneratedRows(10, 70, 60), WholePrompt(130), PromptChunk(500, 64, 192)},
      /*seed=*/1);
  const RaggedBatch& b = c.batch();
  EXPECT_EQ(b.num_rows, 60 + 130 + 128);
  ASSERT_EQ(b.num_tiles, 7);
  EXPECT_EQ(b.num_prompt_tiles, 5);
  const Tile& ragged = b.tiles[2];
  EXPECT_EQ(ragged.sequence, 1);
  EXPECT_EQ(ragged.row_begin, 60 + 128);
  EXPECT_EQ(ragged.num_rows, 2);
  EXPECT_EQ(ragged.block, 2);
  EXPECT_EQ(b.tiles[3].block, 1);
  EXPECT_EQ(b.tiles[3].row_begin, 190);
  const Tile& generated = b.tiles[5];
  EXPECT_EQ(generated.offset, 6);
  EXPECT_EQ(generated.num_rows, 58);
  EXPECT_EQ(b.tiles[6].block, 2);
  EXPECT_EQ(b.tiles[6].num_rows, 2);
  EXPECT_EQ(c.max_visible_blocks(), 3);
}

TEST(RaggedCaseTest, RandomSlicesCoverTheirRowsOnOwnPages) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<SliceSpec> specs;
    for (int i = 0; i < 4; ++i) specs.push_back(RandomSlice(400, random));
    const RaggedCase c(specs, random());
    std::set<int32_t> rows;
    std::set<int32_t> pages;
    int32_t num_pages = 0;
    const RaggedBatch& b = c.batch();
    for (int i = 0; i < b.num_tiles; ++i) {
      const Tile& t = b.tiles[i];
      const SequenceSlice& s = b.sequences[t.sequence];
      EXPECT_EQ(RaggedCase::Position(t, 0) < s.prompt_len,
                i < b.num_prompt_tiles);
      EXPECT_LE(t.offset + t.num_rows, kBlockSize);
      for (int r = 0; r < t.num_rows; ++r) rows.insert(t.row_begin + r);
    }
    EXPECT_EQ(rows.size(), b.num_rows);
    EXPECT_EQ(*rows.rbegin(), b.num_rows - 1);
    for (int i = 0; i < b.num_sequences; ++i) {
      const int64_t blocks = NumBlocks(c.spec(i).EndPosition());
      num_pages += blocks;
      pages.insert(b.sequences[i].page_table,
                   b.sequences[i].page_table + blocks);
    }
    EXPECT_EQ(pages.size(), num_pages);
    EXPECT_LT(*pages.rbegin(), c.num_pages());
  }
}

}  // namespace
}  // namespace seer
