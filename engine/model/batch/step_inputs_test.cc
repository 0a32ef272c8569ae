#include "engine/model/batch/step_inputs.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/device/cpu_device.h"
#include "engine/gate/gate_state.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/split_device.h"

namespace seer {
namespace {

constexpr int32_t kHeads = 3;
constexpr int32_t kLayers = 2;

class StepInputsTest : public testing::Test {
 protected:
  StepInputsTest() : tokens_(1000), pages_(100) {
    std::iota(tokens_.begin(), tokens_.end(), 0);
    std::iota(pages_.rbegin(), pages_.rend(), 0);
    limits_.num_layers = kLayers;
    limits_.num_query_heads = kHeads;
    limits_.vocab_size = 1000;
    limits_.num_pages = 100;
    limits_.context_len = 900;
    plan_.effective.budget.kind = BudgetKind::kTargetSparsity;
    plan_.effective.budget.target_sparsity = 0.5;
    plan_.num_query_heads = kHeads;
    plan_.num_prompt_tiles = 4;
    plan_.row_budgets = {11, 12, 13, 21, 22, 23};  // [kLayers, kHeads]
  }

  BatchSequence Rows(int32_t begin, int32_t end, int32_t prompt_len) const {
    BatchSequence sequence;
    sequence.tokens = absl::MakeConstSpan(tokens_).subspan(begin, end - begin);
    sequence.position_begin = begin;
    sequence.prompt_len = prompt_len;
    // From another page on for each length: sequences share none.
    sequence.page_table = absl::MakeConstSpan(pages_).subspan(prompt_len % 90);
    return sequence;
  }
  // A decode row, a sparse chunk and a dense prompt.
  std::vector<BatchSequence> Mixed() const {
    std::vector<BatchSequence> sequences = {
        Rows(130, 131, 129), Rows(64, 192, 250), Rows(0, 65, 65)};
    sequences[0].logits = LogitsRows::kLast;
    sequences[1].plan = &plan_;
    sequences[1].gate = &gate_;
    sequences[2].logits = LogitsRows::kLast;
    return sequences;
  }

  std::vector<TokenId> tokens_;
  std::vector<int32_t> pages_;
  StepLimits limits_;
  SelectionPlan plan_;
  GateState gate_;
};

template <class T>
std::vector<T> Array(const T* begin, size_t count) {
  return std::vector<T>(begin, begin + count);
}

TEST_F(StepInputsTest, EverythingArrivesInOneCopy) {
  // The host's side is ruined by the copy: what is read here is the device's.
  SplitDevice device(nullptr);
  TransferBuffer buffer(&device);
  const std::vector<BatchSequence> sequences = Mixed();
  const auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok()) << layout.status();
  for (int step = 1; step <= 2; ++step) {
    const auto inputs = SendStepInputs(*layout, limits_, &buffer);
    ASSERT_TRUE(inputs.ok()) << inputs.status();
    EXPECT_EQ(device.num_uploads(), step);

    const RaggedBatch host = layout->batch();
    ASSERT_EQ(inputs->batch.num_sequences, 3);
    ASSERT_EQ(inputs->batch.num_tiles, host.num_tiles);
    ASSERT_EQ(inputs->batch.num_prompt_tiles, host.num_prompt_tiles);
    EXPECT_EQ(std::memcmp(inputs->batch.tiles, host.tiles,
                          host.num_tiles * sizeof(Tile)),
              0);
    for (int i = 0; i < 3; ++i) {
      const SequenceSlice& slice = inputs->batch.sequences[i];
      EXPECT_EQ(slice.row_begin, host.sequences[i].row_begin);
      EXPECT_EQ(slice.position_begin, host.sequences[i].position_begin);
      EXPECT_NE(slice.page_table, sequences[i].page_table.data());
      EXPECT_EQ(Array(slice.page_table, 2),
                Array(sequences[i].page_table.data(), 2));
    }
    EXPECT_EQ(Array(inputs->tokens, host.num_rows), layout->tokens());
    EXPECT_EQ(Array(inputs->wanted_rows, 2), (std::vector<int64_t>{0, 193}));
    ASSERT_EQ(inputs->tile_indices.size(), 1u);
    EXPECT_EQ(Array(inputs->tile_indices[0], 2), (std::vector<int32_t>{0, 1}));
  }
}

// A range's tiles count from its first, its pages are the sequence's there.
TEST_F(StepInputsTest, OracleRangesHavePlansOfTheirOwn) {
  SplitDevice device(nullptr);
  TransferBuffer buffer(&device);
  plan_.oracle = Oracle::kMax;
  std::vector<BatchSequence> sequences = {Rows(0, 65, 65), Rows(64, 192, 250)};
  sequences[1].plan = &plan_;
  const auto layout = BatchLayout::Build(sequences);
  ASSERT_TRUE(layout.ok()) << layout.status();
  const auto inputs = SendStepInputs(*layout, limits_, &buffer);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_EQ(inputs->plan.num_parts, 4);
  EXPECT_EQ(inputs->rules.size(), size_t{kLayers});
  ASSERT_EQ(inputs->oracle_plans.size(), 1u);
  const AttentionPlan& plan = inputs->oracle_plans[0];
  ASSERT_EQ(plan.num_parts, 2);
  for (const PromptPart& part : Array(plan.parts, 2)) {
    const Tile& tile = inputs->batch.tiles[2 + part.tile];
    EXPECT_EQ(tile.sequence, 1);
    EXPECT_EQ(part.row_begin, tile.row_begin);
    EXPECT_EQ(part.visible_blocks, VisibleBlocks(tile));
    EXPECT_EQ(part.page_table, inputs->batch.sequences[1].page_table);
  }
}

TEST_F(StepInputsTest, RowsToDrawFromFollowRowsToScoreAndToFetch) {
  SplitDevice device(nullptr);
  TransferBuffer buffer(&device);
  std::vector<RowDraw> draws(3);
  draws[1].draw.top_k = 5;
  draws[1].adjustments = {{7, 0.5f, -1, 0}, {3, 0.0f, 2, 1}};
  const std::vector<TokenId> scored = {8, 9};
  TokenId drawn[3];
  RowScore scores[3];
  std::vector<BatchSequence> sequences = Mixed();
  sequences[0].draws = absl::MakeConstSpan(draws).subspan(0, 2);
  sequences[0].drawn = drawn;
  sequences[0].logits = LogitsRows::kNone;
  sequences[1].draws = absl::MakeConstSpan(draws).subspan(2, 1);
  sequences[1].drawn = drawn + 2;
  sequences[1].drawn_scores = scores + 2;
  sequences[1].scored = scored;
  sequences[1].scores = scores;
  const auto layout = BatchLayout::Build(sequences);
  const auto inputs = SendStepInputs(*layout, limits_, &buffer);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  // One to fetch, two to score, and two that are drawn from, one of them twice.
  EXPECT_EQ(Array(inputs->wanted_rows, 5),
            (std::vector<int64_t>{193, 1, 2, 0, 128}));
  EXPECT_EQ(Array(inputs->scored_tokens, 2), scored);
  EXPECT_EQ(inputs->num_drawn_rows, 2);
  ASSERT_EQ(inputs->num_draws, 3);
  EXPECT_EQ(inputs->draws[0].row, 0);
  EXPECT_EQ(inputs->draws[1].row, 0);
  EXPECT_EQ(inputs->draws[2].row, 1);
  EXPECT_EQ(Array(inputs->scored_rows, 3), (std::vector<int32_t>{-1, -1, 1}));
  EXPECT_EQ(inputs->draws[0].num_adjustments, 0);
  EXPECT_EQ(inputs->draws[1].top_k, 5);
  ASSERT_EQ(inputs->draws[1].num_adjustments, 2);
  const TokenAdjustment* const adjustments =
      inputs->adjustments + inputs->draws[1].first_adjustment;
  EXPECT_EQ(adjustments[0].token, 7);
  EXPECT_EQ(adjustments[1].banned, 1);
}

TEST_F(StepInputsTest, AddedRowsDrawNothingAndDrawsStayInPlace) {
  SplitDevice device(nullptr);
  TransferBuffer buffer(&device);
  RowDraw draw;
  draw.adjustments = {{7, 0.5f, -1, 0}};
  TokenId drawn[3];
  std::vector<BatchSequence> sequences = {Rows(130, 131, 129), Rows(70, 71, 65),
                                          Rows(3, 4, 2)};
  const TokenDraw* place = nullptr;
  for (const int num_sequences : {3, 2}) {
    sequences.resize(num_sequences);
    sequences[1].draws = absl::MakeConstSpan(&draw, 1);
    sequences[1].drawn = &drawn[1];
    const auto layout = BatchLayout::Build(sequences);
    const auto inputs = SendStepInputs(*layout, limits_, &buffer, 4);
    ASSERT_TRUE(inputs.ok()) << inputs.status();
    ASSERT_EQ(inputs->num_draws, 4);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(inputs->draws[i].row, i == 1 ? 1 : -1) << i;
    }
    EXPECT_EQ(inputs->adjustments[inputs->draws[1].first_adjustment].token, 7);
    if (place == nullptr) place = inputs->draws;
    EXPECT_EQ(inputs->draws, place);
  }
}

TEST_F(StepInputsTest, RefusesDrawsOutOfTheirLimits) {
  CpuDevice device(nullptr);
  TransferBuffer buffer(&device);
  RowDraw draw;
  draw.draw.top_p = 0.0;
  TokenId drawn;
  std::vector<BatchSequence> sequences = {Rows(0, 64, 64)};
  sequences[0].draws = absl::MakeConstSpan(&draw, 1);
  sequences[0].drawn = &drawn;
  const auto layout = BatchLayout::Build(sequences);
  EXPECT_EQ(SendStepInputs(*layout, limits_, &buffer).status().code(),
            absl::StatusCode::kInvalidArgument);
  draw.draw.top_p = 1.0;
  EXPECT_TRUE(SendStepInputs(*layout, limits_, &buffer).ok());
  draw.adjustments = {{limits_.vocab_size, 0.5f, -1, 0}};
  EXPECT_EQ(SendStepInputs(*layout, limits_, &buffer).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(StepInputsTest, AddedRowsAreTilesOfNoRowsInFixedPlaces) {
  SplitDevice device(nullptr);
  TransferBuffer buffer(&device);
  const std::vector<BatchSequence> three = {Rows(130, 131, 129),
                                            Rows(70, 71, 65), Rows(3, 4, 2)};
  const std::vector<BatchSequence> one = {Rows(300, 301, 290)};
  std::optional<StepInputs> first;
  for (const std::vector<BatchSequence>& sequences : {three, one}) {
    const auto layout = BatchLayout::Build(sequences);
    const auto inputs = SendStepInputs(*layout, limits_, &buffer, 4);
    ASSERT_TRUE(inputs.ok()) << inputs.status();
    EXPECT_EQ(inputs->batch.num_sequences, 4);
    EXPECT_EQ(inputs->batch.num_tiles, 4);
    EXPECT_EQ(inputs->batch.num_prompt_tiles, 0);
    EXPECT_EQ(inputs->batch.num_rows, 4);
    for (int i = 0; i < 4; ++i) {
      const bool is_own = i < static_cast<int>(sequences.size());
      EXPECT_EQ(inputs->batch.tiles[i].num_rows, is_own ? 1 : 0);
      EXPECT_EQ(inputs->tokens[i], is_own ? layout->tokens()[i] : 0);
      if (!is_own) continue;
      EXPECT_EQ(inputs->batch.tiles[i].sequence, i);
      EXPECT_EQ(inputs->batch.sequences[i].page_table[0],
                sequences[i].page_table[0]);
    }
    if (!first.has_value()) first = *inputs;
    EXPECT_EQ(inputs->batch.sequences, first->batch.sequences);
    EXPECT_EQ(inputs->batch.tiles, first->batch.tiles);
    EXPECT_EQ(inputs->tokens, first->tokens);
  }
}

TEST_F(StepInputsTest, RulesAreTheLayersOwn) {
  SplitDevice device(nullptr);
  TransferBuffer buffer(&device);
  const std::vector<BatchSequence> sequences = Mixed();
  const auto layout = BatchLayout::Build(sequences);
  const auto inputs = SendStepInputs(*layout, limits_, &buffer);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  ASSERT_EQ(inputs->rules.size(), 2u);
  for (int32_t layer = 0; layer < kLayers; ++layer) {
    const SelectionRule* rules = inputs->rules[layer];
    EXPECT_EQ(rules[0].kind, SelectionRule::Kind::kAll);
    EXPECT_EQ(rules[0].row_budgets, nullptr);
    EXPECT_EQ(rules[1].kind, SelectionRule::Kind::kRowBudget);
    EXPECT_EQ(rules[1].num_prompt_tiles, 4);
    EXPECT_EQ(Array(rules[1].row_budgets, kHeads),
              Array(plan_.row_budgets.data() + layer * kHeads, kHeads));
    EXPECT_EQ(rules[2].kind, SelectionRule::Kind::kAll);
  }
}

TEST_F(StepInputsTest, ThePlanIsAttentions) {
  SplitDevice device(nullptr);
  TransferBuffer buffer(&device);
  // Long enough for split tiles.
  std::vector<int32_t> pages(2002);
  std::iota(pages.begin(), pages.end(), 5);
  limits_.num_pages = 3000;
  limits_.context_len = 200000;
  std::vector<BatchSequence> sequences = Mixed();
  BatchSequence deep;
  deep.tokens = absl::MakeConstSpan(tokens_).subspan(0, 128);
  deep.position_begin = 128 * 1000;
  deep.prompt_len = deep.position_begin + 128;
  deep.page_table = pages;
  sequences.push_back(deep);
  const auto layout = BatchLayout::Build(sequences);
  const auto inputs = SendStepInputs(*layout, limits_, &buffer);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  std::vector<PromptPart> expected;
  const AttentionPlan plan = PlanAttention(layout->batch(), &expected);
  ASSERT_EQ(inputs->plan.num_parts, plan.num_parts);
  EXPECT_GT(inputs->plan.num_partial_tiles, 0);
  EXPECT_EQ(inputs->plan.num_partial_tiles, plan.num_partial_tiles);
  EXPECT_EQ(inputs->plan.num_key_blocks, plan.num_key_blocks);
  EXPECT_EQ(inputs->plan.max_generated_blocks, plan.max_generated_blocks);
  for (int32_t i = 0; i < plan.num_parts; ++i) {
    const PromptPart& part = inputs->plan.parts[i];
    EXPECT_EQ(part.tile, expected[i].tile);
    EXPECT_EQ(part.first_rank, expected[i].first_rank);
    EXPECT_EQ(part.num_ranks, expected[i].num_ranks);
    EXPECT_EQ(part.first_partial, expected[i].first_partial);
    const Tile& tile = layout->batch().tiles[part.tile];
    EXPECT_EQ(part.page_table,
              inputs->batch.sequences[tile.sequence].page_table);
  }
}

TEST_F(StepInputsTest, WithoutGatesThereAreNoRules) {
  CpuDevice device(nullptr);
  TransferBuffer buffer(&device);
  const std::vector<BatchSequence> sequences = {Rows(0, 64, 100)};
  const auto layout = BatchLayout::Build(sequences);
  const auto inputs = SendStepInputs(*layout, limits_, &buffer);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_TRUE(inputs->rules.empty());
  EXPECT_TRUE(inputs->tile_indices.empty());
  EXPECT_EQ(inputs->batch.sequences[0].page_table[0], 99 - 100 % 90);
}

TEST_F(StepInputsTest, RefusesWhatAGpuWouldNotCheck) {
  CpuDevice device(nullptr);
  TransferBuffer buffer(&device);
  const std::vector<BatchSequence> sequences = Mixed();
  const auto layout = BatchLayout::Build(sequences);
  const auto status_with = [&](StepLimits limits) {
    return SendStepInputs(*layout, limits, &buffer).status().code();
  };
  EXPECT_EQ(status_with(limits_), absl::StatusCode::kOk);
  StepLimits few_pages = limits_;
  few_pages.num_pages = 60;  // the decode row's first page is 60
  EXPECT_EQ(status_with(few_pages), absl::StatusCode::kInvalidArgument);
  const std::vector<BatchSequence> shared = {Rows(0, 64, 64), Rows(0, 64, 64)};
  const auto shared_layout = BatchLayout::Build(shared);
  EXPECT_EQ(SendStepInputs(*shared_layout, limits_, &buffer).status().code(),
            absl::StatusCode::kInvalidArgument);
  StepLimits few_words = limits_;
  few_words.vocab_size = 191;  // the chunk's last token is 191
  EXPECT_EQ(status_with(few_words), absl::StatusCode::kInvalidArgument);
  StepLimits short_context = limits_;
  short_context.context_len = 191;  // the chunk ends at 192
  EXPECT_EQ(status_with(short_context), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
