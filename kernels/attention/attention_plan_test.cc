#include "kernels/attention/attention_plan.h"

#include <algorithm>
#include <map>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/kernels/cases/ragged_case.h"

namespace seer {
namespace {

struct Planned {
  explicit Planned(const std::vector<SliceSpec>& specs)
      : step(specs, /*seed=*/3) {
    plan = PlanAttention(step.batch(), &parts);
  }

  RaggedCase step;
  std::vector<PromptPart> parts;
  AttentionPlan plan;
};

TEST(AttentionPlanTest, OfAnEmptyBatchIsEmpty) {
  std::vector<PromptPart> parts;
  const AttentionPlan plan = PlanAttention(RaggedBatch(), &parts);
  EXPECT_EQ(plan.num_parts, 0);
  EXPECT_EQ(plan.num_partial_tiles, 0);
  EXPECT_EQ(plan.max_generated_blocks, 0);
  EXPECT_EQ(plan.max_generated_rows, 0);
}

// Every rank of every prompt tile is in one part, and parts that are joined
// have partial tiles of their own, one after the other.
TEST(AttentionPlanTest, PartsCoverEveryTileOnce) {
  const Planned p({WholePrompt(1), WholePrompt(130), WholePrompt(8191),
                   PromptChunk(40000, 39936, 40000), GeneratedRows(5, 90, 1),
                   PromptChunk(131072, 130944, 131072)});
  const RaggedBatch& batch = p.step.batch();
  std::map<int32_t, int32_t> covered;  // ranks, by tile
  std::map<int32_t, int32_t> owner;    // tile, by partial tile
  ASSERT_EQ(p.plan.num_parts, static_cast<int32_t>(p.parts.size()));
  for (const PromptPart& part : p.parts) {
    ASSERT_LT(part.tile, batch.num_prompt_tiles);
    const Tile& tile = batch.tiles[part.tile];
    EXPECT_EQ(part.row_begin, tile.row_begin);
    EXPECT_EQ(part.num_rows, tile.num_rows);
    EXPECT_EQ(part.visible_blocks, VisibleBlocks(tile));
    EXPECT_EQ(part.page_table, batch.sequences[tile.sequence].page_table);
    EXPECT_EQ(part.first_rank % part.num_ranks, 0);
    ASSERT_LT(part.first_rank, part.visible_blocks);
    covered[part.tile] +=
        std::min(part.num_ranks, part.visible_blocks - part.first_rank);
    if (part.first_partial < 0) {
      EXPECT_EQ(part.num_ranks, part.visible_blocks);
      continue;
    }
    const int32_t partial =
        part.first_partial + part.first_rank / part.num_ranks;
    EXPECT_LT(partial, p.plan.num_partial_tiles);
    EXPECT_TRUE(owner.emplace(partial, part.tile).second);
  }
  EXPECT_EQ(static_cast<int32_t>(owner.size()), p.plan.num_partial_tiles);
  for (int32_t t = 0; t < batch.num_prompt_tiles; ++t) {
    EXPECT_EQ(covered[t], VisibleBlocks(batch.tiles[t])) << "tile " << t;
  }
}

TEST(AttentionPlanTest, OnlyAPromptsLastTilesAreSplit) {
  const Planned p({WholePrompt(8192)});
  std::map<int32_t, int32_t> num_parts;  // by block
  for (const PromptPart& part : p.parts) {
    ++num_parts[part.visible_blocks - 1];
  }
  for (const auto& [block, n] : num_parts) {
    EXPECT_EQ(n > 1, block >= 126) << "block " << block;
  }
}

// Number of parts of a prompt's tiles, the last tile first.
std::vector<int32_t> PartsFromTheEnd(int32_t prompt_len, int32_t num_tiles) {
  const int32_t begin = (NumBlocks(prompt_len) - num_tiles) * kBlockSize;
  const Planned p({PromptChunk(prompt_len, begin, prompt_len)});
  std::vector<int32_t> num_parts(num_tiles);
  for (const PromptPart& part : p.parts) {
    ++num_parts[num_tiles - 1 - part.tile];
  }
  return num_parts;
}

TEST(AttentionPlanTest, TilesNearerTheEndHaveMoreParts) {
  EXPECT_EQ(PartsFromTheEnd(131072, 17),
            (std::vector<int32_t>{8, 8, 6, 4, 4, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2,
                                  1, 1}));
  // Where few blocks are seen parts would be short.
  EXPECT_EQ(PartsFromTheEnd(8192, 4), (std::vector<int32_t>{4, 3, 1, 1}));
  EXPECT_EQ(PartsFromTheEnd(32768, 4), (std::vector<int32_t>{8, 8, 3, 3}));
  EXPECT_EQ(PartsFromTheEnd(4000, 2), (std::vector<int32_t>{1, 1}));
}

// Whatever number of tiles a step ends with: had they all to be read whole, a
// head's share of them is at least 16 pieces, one a tile from 16 on.
TEST(AttentionPlanTest, ALongPromptsEndIsManyPieces) {
  const std::vector<int32_t> num_parts = PartsFromTheEnd(131072, 20);
  int32_t sum = num_parts[0];
  for (size_t k = 2; k <= num_parts.size(); ++k) {
    sum += num_parts[k - 1];
    EXPECT_GE(sum, 16) << k << " tiles";
  }
}

// The same tile is split alike in any batch and chunk.
TEST(AttentionPlanTest, ATileIsSplitByItself) {
  const Planned alone({PromptChunk(20000, 19968, 20000)});
  const Planned among(
      {WholePrompt(300), WholePrompt(20000), GeneratedRows(3, 9, 1)});
  const auto ranks = [](const Planned& p) {
    std::vector<int32_t> first_ranks;
    for (const PromptPart& part : p.parts) {
      if (part.visible_blocks == 313) first_ranks.push_back(part.first_rank);
    }
    return first_ranks;
  };
  EXPECT_GT(ranks(alone).size(), 1u);
  EXPECT_EQ(ranks(alone), ranks(among));
}

TEST(AttentionPlanTest, SplitTilesFirstThenByVisibleBlocks) {
  const Planned p({WholePrompt(200), PromptChunk(9000, 4096, 9000)});
  for (size_t i = 1; i < p.parts.size(); ++i) {
    const PromptPart& a = p.parts[i - 1];
    const PromptPart& b = p.parts[i];
    if (a.first_partial < 0) {
      EXPECT_LT(b.first_partial, 0);
      EXPECT_GE(a.visible_blocks, b.visible_blocks);
    }
  }
  EXPECT_GE(p.parts.front().first_partial, 0);
  EXPECT_LT(p.parts.back().first_partial, 0);
}

TEST(AttentionPlanTest, CountsKeyBlocksOfPrompts) {
  const Planned p({WholePrompt(130), GeneratedRows(10, 6400, 1),
                   PromptChunk(9000, 4096, 8192)});
  EXPECT_EQ(p.plan.num_key_blocks, 3 + 128);
}

TEST(AttentionPlanTest, BoundsGeneratedTiles) {
  const Planned p({WholePrompt(500), GeneratedRows(10, 64, 20),
                   GeneratedRows(100, 4000, 1)});
  EXPECT_EQ(p.plan.max_generated_blocks, 63);
  EXPECT_EQ(p.plan.max_generated_rows, 20);
}

}  // namespace
}  // namespace seer
