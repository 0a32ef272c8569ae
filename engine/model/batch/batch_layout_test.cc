#include "engine/model/batch/batch_layout.h"

#include <numeric>
#include <vector>

#include "engine/gate/gate_state.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

class BatchLayoutTest : public testing::Test {
 protected:
  BatchLayoutTest() : tokens_(1000), pages_(100) {
    std::iota(tokens_.begin(), tokens_.end(), 0);
    std::iota(pages_.begin(), pages_.end(), 0);
    plan_.effective.budget.kind = BudgetKind::kTopKBlocks;
    plan_.effective.budget.top_k_blocks = 2;
  }

  BatchSequence Rows(int32_t begin, int32_t end, int32_t prompt_len) const {
    BatchSequence sequence;
    sequence.tokens = absl::MakeConstSpan(tokens_).subspan(begin, end - begin);
    sequence.position_begin = begin;
    sequence.prompt_len = prompt_len;
    sequence.page_table = pages_;
    return sequence;
  }
  BatchSequence Sparse(BatchSequence sequence, int gate) const {
    sequence.plan = &plan_;
    sequence.gate = &gates_[gate];
    return sequence;
  }

  std::vector<TokenId> tokens_;
  std::vector<int32_t> pages_;
  GateState gates_[2];
  SelectionPlan plan_;
};

TEST_F(BatchLayoutTest, PromptTilesComeFirst) {
  // A decode row between two prompts.
  const std::vector<BatchSequence> sequences = {
      Rows(64, 192, 300), Rows(130, 131, 129), Rows(0, 65, 65)};
  const auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok()) << layout.status();
  const RaggedBatch batch = layout->batch();
  EXPECT_EQ(batch.num_sequences, 3);
  EXPECT_EQ(batch.num_rows, 128 + 1 + 65);
  ASSERT_EQ(batch.num_tiles, 5);
  EXPECT_EQ(batch.num_prompt_tiles, 4);
  const int32_t expected[5][5] = {// sequence, row, rows, block, offset
                                  {0, 0, 64, 1, 0},
                                  {0, 64, 64, 2, 0},
                                  {2, 129, 64, 0, 0},
                                  {2, 193, 1, 1, 0},
                                  {1, 128, 1, 2, 2}};
  for (int t = 0; t < 5; ++t) {
    const Tile& tile = batch.tiles[t];
    EXPECT_EQ(tile.sequence, expected[t][0]) << t;
    EXPECT_EQ(tile.row_begin, expected[t][1]) << t;
    EXPECT_EQ(tile.num_rows, expected[t][2]) << t;
    EXPECT_EQ(tile.block, expected[t][3]) << t;
    EXPECT_EQ(tile.offset, expected[t][4]) << t;
  }
  EXPECT_EQ(layout->max_visible_blocks(), 3);
  EXPECT_TRUE(layout->gates().empty());
}

TEST_F(BatchLayoutTest, OneGroupAGate) {
  BatchSequence dense = Rows(0, 64, 64);
  BatchSequence generated = Sparse(Rows(70, 71, 70), 0);
  const std::vector<BatchSequence> sequences = {
      Sparse(Rows(0, 64, 100), 1), dense, Sparse(Rows(64, 128, 128), 0),
      Sparse(Rows(0, 70, 70), 1), generated};
  const auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok()) << layout.status();
  ASSERT_EQ(layout->gates().size(), 2u);
  EXPECT_EQ(layout->gates()[0].gate, &gates_[1]);
  EXPECT_EQ(layout->gates()[0].tile_indices, (std::vector<int32_t>{0, 3, 4}));
  EXPECT_EQ(layout->gates()[1].tile_indices, (std::vector<int32_t>{2}));
  const std::vector<SelectionRule> rules = layout->Rules(0);
  EXPECT_EQ(rules[0].kind, SelectionRule::Kind::kTopK);
  EXPECT_EQ(rules[1].kind, SelectionRule::Kind::kAll);
  EXPECT_EQ(rules[4].kind, SelectionRule::Kind::kAll);
}

TEST_F(BatchLayoutTest, WantedRowsOfLogits) {
  std::vector<BatchSequence> sequences = {Rows(0, 64, 100), Rows(64, 67, 67),
                                          Rows(9, 10, 9)};
  sequences[1].logits = LogitsRows::kAll;
  sequences[2].logits = LogitsRows::kLast;
  const auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok());
  const auto& rows = layout->logits_rows();
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].row, 64);
  EXPECT_EQ(rows[2].position, 66);
  EXPECT_EQ(rows[3].sequence, 2);
  EXPECT_EQ(rows[3].position, 9);
  EXPECT_EQ(rows[3].row, 67);
}

TEST_F(BatchLayoutTest, DrawsAreOfLastRowsAndScoresOfThoseNamed) {
  const std::vector<RowDraw> draws(2);
  const std::vector<TokenId> scored = {4, 5};
  TokenId drawn[3];
  RowScore scores[3];
  std::vector<BatchSequence> sequences = {Rows(0, 64, 100), Rows(64, 67, 67),
                                          Rows(9, 10, 9)};
  sequences[0].scored = scored;
  sequences[0].scores = scores;
  sequences[0].num_top = 3;
  sequences[1].draws = draws;
  sequences[1].drawn = drawn;
  sequences[1].num_top = 7;  // of no score
  sequences[1].logits = LogitsRows::kLast;
  sequences[2].draws = absl::MakeConstSpan(draws).subspan(0, 1);
  sequences[2].drawn = drawn + 2;
  auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->logits_rows().size(), 1u);
  ASSERT_EQ(layout->draws().size(), 3u);
  EXPECT_EQ(layout->draws()[0].row, 66);
  EXPECT_EQ(layout->draws()[1].row, 66);
  EXPECT_EQ(layout->draws()[1].index, 1);
  EXPECT_EQ(layout->draws()[2].row, 67);
  EXPECT_EQ(layout->draws()[2].sequence, 2);
  ASSERT_EQ(layout->scored().size(), 2u);
  EXPECT_EQ(layout->scored()[1].row, 1);
  EXPECT_FALSE(layout->scores_draws());
  EXPECT_EQ(layout->num_top(), 3);
  sequences[2].drawn_scores = scores + 2;
  sequences[2].num_top = 5;
  layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok());
  EXPECT_TRUE(layout->scores_draws());
  EXPECT_EQ(layout->num_top(), 5);
}

TEST_F(BatchLayoutTest, RefusesMoreScoresThanRows) {
  const std::vector<TokenId> scored(4, 1);
  std::vector<BatchSequence> sequences = {Rows(64, 67, 67)};
  sequences[0].scored = scored;
  EXPECT_EQ(BatchLayout::Build(sequences).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(BatchLayoutTest, CountsBlocksOfPromptTiles) {
  LayerBlocks blocks[3][2];
  std::vector<BatchSequence> sequences = {Sparse(Rows(64, 192, 300), 0),
                                          Rows(0, 65, 65), Rows(5, 6, 5)};
  for (int i = 0; i < 3; ++i) sequences[i].blocks = blocks[i];
  const auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok());
  layout->CountBlocks(1, 4, {17, 12, 0});
  EXPECT_EQ(blocks[0][1].visible, 4 * (2 + 3));
  EXPECT_EQ(blocks[0][1].selected, 17);
  EXPECT_EQ(blocks[1][1].visible, 4 * (1 + 2));
  EXPECT_EQ(blocks[2][1].visible, 0);
  layout->CountBlocks(0, 4, {});
  EXPECT_EQ(blocks[0][0].selected, 20);
  EXPECT_EQ(blocks[1][0].selected, 12);
}

TEST_F(BatchLayoutTest, OraclesTakeTheirTilesInRanges) {
  SelectionPlan top_k, threshold;
  top_k.effective.budget.kind = BudgetKind::kTopKBlocks;
  top_k.oracle = Oracle::kMax;
  threshold.effective.budget.kind = BudgetKind::kThreshold;
  threshold.oracle = Oracle::kMass;
  std::vector<BatchSequence> sequences = {
      Rows(0, 64 * 18, 64 * 18), Rows(64, 192, 300), Rows(64, 128, 300),
      Sparse(Rows(0, 128, 300), 0), Rows(5, 6, 5)};
  const std::vector<TokenId> tokens(64 * 18);
  sequences[0].tokens = tokens;
  sequences[0].plan = &top_k;
  sequences[1].plan = &threshold;
  sequences[4].plan = &top_k;
  const auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_TRUE(layout->selects());
  ASSERT_EQ(layout->gates().size(), 1u);
  EXPECT_EQ(layout->gates()[0].tile_indices, (std::vector<int32_t>{21, 22}));
  const std::vector<std::pair<int32_t, int32_t>> expected = {
      {0, 16}, {16, 2}, {18, 2}};
  ASSERT_EQ(layout->oracles().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const BatchLayout::OracleRange& range = layout->oracles()[i];
    EXPECT_EQ(range.first_tile, expected[i].first);
    EXPECT_EQ(range.num_tiles, expected[i].second);
    EXPECT_EQ(range.oracle, i < 2 ? Oracle::kMax : Oracle::kMass);
    EXPECT_EQ(range.by_threshold, i == 2);
  }
}

TEST_F(BatchLayoutTest, RefusesWhatKernelsCannotTake) {
  BatchSequence few_pages = Rows(0, 64, 64);
  few_pages.page_table = {};
  BatchSequence no_gate = Rows(0, 64, 64);
  no_gate.plan = &plan_;
  for (const BatchSequence& bad :
       {Rows(0, 0, 64), Rows(0, 66, 65), Rows(0, 63, 64), Rows(1, 65, 64),
        Rows(32, 96, 128), few_pages, no_gate}) {
    EXPECT_EQ(BatchLayout::Build({bad}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(BatchLayout::Build({}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
