#include "kernels/argument_checks.h"

#include <functional>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

// A chunk of two tiles that ends a prompt of 100 tokens, and two generated
// rows of another sequence.
struct TwoSequences {
  TwoSequences() {
    sequences[0] = {0, 100, 0, 100, pages};
    sequences[1] = {100, 2, 63, 60, pages + 2};
    tiles = {{0, 0, 64, 0, 0},
             {0, 64, 36, 1, 0},
             {1, 100, 1, 0, 63},
             {1, 101, 1, 1, 0}};
  }
  RaggedBatch Batch() const { return {sequences, tiles.data(), 2, 102, 4, 2}; }

  int32_t pages[4] = {3, 1, 0, 2};
  SequenceSlice sequences[2];
  std::vector<Tile> tiles;
};

TEST(ArgumentChecksTest, AcceptsPromptAndGeneratedSlices) {
  const TwoSequences two;
  EXPECT_TRUE(CheckBatch(two.Batch()).ok()) << CheckBatch(two.Batch());
  EXPECT_TRUE(CheckPages(two.Batch(), 4).ok());
  EXPECT_TRUE(CheckBatch(RaggedBatch()).ok());
}

TEST(ArgumentChecksTest, RefusesWhatTheBatchContractForbids) {
  const std::function<void(TwoSequences&)> breakages[] = {
      [](TwoSequences& b) { b.sequences[0].num_rows = 0; },
      [](TwoSequences& b) { b.sequences[1].row_begin = 101; },
      [](TwoSequences& b) { b.sequences[1].row_begin = -1; },
      [](TwoSequences& b) { b.sequences[0].prompt_len = 0; },
      [](TwoSequences& b) { b.sequences[0].page_table = nullptr; },
      [](TwoSequences& b) { b.sequences[0].prompt_len = 99; },
      [](TwoSequences& b) { b.sequences[0].prompt_len = 101; },
      [](TwoSequences& b) { b.sequences[0].position_begin = -64; },
      [](TwoSequences& b) { b.sequences[1].position_begin = INT32_MAX; },
      [](TwoSequences& b) { b.tiles[0].sequence = 2; },
      [](TwoSequences& b) { b.tiles[0].sequence = -1; },
      [](TwoSequences& b) { b.tiles[0].num_rows = 65; },
      [](TwoSequences& b) { b.tiles[1].num_rows = 35; },
      [](TwoSequences& b) { b.tiles[1].block = 2; },
      [](TwoSequences& b) { b.tiles[2].offset = 62; },
      [](TwoSequences& b) { b.tiles[3].row_begin = 102; },
      [](TwoSequences& b) { std::swap(b.tiles[1], b.tiles[2]); },
  };
  for (size_t i = 0; i < std::size(breakages); ++i) {
    TwoSequences two;
    breakages[i](two);
    EXPECT_EQ(CheckBatch(two.Batch()).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
  }
}

TEST(ArgumentChecksTest, RefusesPagesOutsideThePool) {
  TwoSequences two;
  EXPECT_FALSE(CheckPages(two.Batch(), 3).ok());
  two.pages[2] = -1;
  EXPECT_FALSE(CheckPages(two.Batch(), 4).ok());
}

TEST(ArgumentChecksTest, RefusesTilesThatShareAPage) {
  TwoSequences two;
  EXPECT_TRUE(CheckPagesDiffer(two.Batch()).ok());
  two.pages[3] = 1;  // of the last tile, and of the prompt's second
  EXPECT_FALSE(CheckPagesDiffer(two.Batch()).ok());
}

TEST(ArgumentChecksTest, RefusesKvWithoutStorageOrShape) {
  float storage = 0;
  PagedKv kv;
  kv.pages = &storage;
  kv.pooled_keys = &storage;
  kv.num_pages = 1;
  kv.num_kv_heads = 1;
  kv.head_dim = 64;
  EXPECT_TRUE(CheckPagedKv(kv).ok());
  for (const int32_t head_dim : {0, 1, 63, 258}) {
    PagedKv bad = kv;
    bad.head_dim = head_dim;
    EXPECT_FALSE(CheckPagedKv(bad).ok()) << head_dim;
  }
  PagedKv bad = kv;
  bad.pooled_keys = nullptr;
  EXPECT_FALSE(CheckPagedKv(bad).ok());
  bad = kv;
  bad.num_kv_heads = 0;
  EXPECT_FALSE(CheckPagedKv(bad).ok());
}

TEST(ArgumentChecksTest, RefusesShortOrForeignRopeTables) {
  const TwoSequences two;
  const float storage = 0;
  RopeTable rope{&storage, &storage, 100, 64};
  EXPECT_TRUE(CheckRopeTable(two.Batch(), rope, 64).ok());
  EXPECT_FALSE(CheckRopeTable(two.Batch(), rope, 128).ok());
  rope.num_positions = 99;
  EXPECT_FALSE(CheckRopeTable(two.Batch(), rope, 64).ok());
}

TEST(ArgumentChecksTest, RefusesHeadsWithoutWholeGroups) {
  EXPECT_TRUE(CheckHeads(16, 1).ok());
  EXPECT_TRUE(CheckHeads(9, 3).ok());
  EXPECT_FALSE(CheckHeads(9, 2).ok());
  EXPECT_FALSE(CheckHeads(17, 1).ok());
  EXPECT_FALSE(CheckHeads(0, 1).ok());
}

}  // namespace
}  // namespace seer
