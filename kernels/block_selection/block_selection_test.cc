#include "kernels/block_selection/block_selection.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#include "tests/testing/kernels/cases/selection_case.h"

namespace seer {
namespace {

using Kind = SelectionRule::Kind;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

SelectionRule MakeRule(Kind kind, int32_t num_prompt_tiles) {
  SelectionRule rule;
  rule.kind = kind;
  rule.num_prompt_tiles = num_prompt_tiles;
  rule.top_k = 4;
  rule.threshold = 0.05f;
  return rule;
}

// Logits of one tile that sees `row.size()` blocks, through `rule`.
std::vector<int32_t> SelectOne(Backend backend, const std::vector<float>& row,
                               SelectionRule rule) {
  const int32_t num_tiles = static_cast<int32_t>(row.size());
  const int32_t len = num_tiles * kBlockSize;
  const RaggedCase ragged({PromptChunk(len, len - kBlockSize, len)}, 1);
  rule.num_prompt_tiles = num_tiles;
  SelectionCase selection(ragged.batch(), 1, num_tiles, {rule});
  std::copy(row.begin(), row.end(), selection.Row(0, 0));
  return selection.Run(backend)[0];
}

SelectionRule TopK(int32_t k) {
  SelectionRule rule = MakeRule(Kind::kTopK, 0);
  rule.top_k = k;
  rule.sink_blocks = 0;
  rule.dense_last_blocks = 0;
  rule.keep_diagonal = false;
  return rule;
}

using Blocks = std::vector<int32_t>;

using BlockSelectionTest = BackendTest;

TEST_P(BlockSelectionTest, TakesTheHighestAndTheLowerIndexOfTies) {
  const std::vector<float> row = {1, 3, 2, 3, -1, 2, 2, 0};
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(1)), (Blocks{1}));
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(2)), (Blocks{1, 3}));
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(3)), (Blocks{1, 2, 3}));
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(4)), (Blocks{1, 2, 3, 5}));
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(6)), (Blocks{0, 1, 2, 3, 5, 6}));
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(100)).size(), 8u);
}

TEST_P(BlockSelectionTest, ForcedBlocksComeFirst) {
  const std::vector<float> row = {-9, -8, 5, 4, 3, 2, 1, -7};
  SelectionRule rule = TopK(1);
  rule.keep_diagonal = true;
  EXPECT_EQ(SelectOne(GetParam(), row, rule), (Blocks{7}));
  rule.sink_blocks = 2;  // more forced than counted
  EXPECT_EQ(SelectOne(GetParam(), row, rule), (Blocks{0, 1, 7}));
  rule.top_k = 4;
  EXPECT_EQ(SelectOne(GetParam(), row, rule), (Blocks{0, 1, 2, 7}));
  rule.sink_blocks = 16;
  EXPECT_EQ(SelectOne(GetParam(), row, rule).size(), 8u);
  rule = TopK(1);
  rule.dense_last_blocks = 1;
  EXPECT_EQ(SelectOne(GetParam(), row, rule).size(), 8u);
}

TEST_P(BlockSelectionTest, NaNRanksBelowEveryNumber) {
  const std::vector<float> row = {kNaN, -kInf, 0.0f, kNaN, kInf, -1.0f};
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(2)), (Blocks{2, 4}));
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(4)), (Blocks{1, 2, 4, 5}));
  EXPECT_EQ(SelectOne(GetParam(), row, TopK(5)), (Blocks{0, 1, 2, 4, 5}));
  EXPECT_EQ(SelectOne(GetParam(), {-kNaN, kNaN, kNaN}, TopK(2)),
            (Blocks{0, 1}));
  // Ties between the two zeros go to the lower index too.
  EXPECT_EQ(SelectOne(GetParam(), {-1.0f, -0.0f, 0.0f, -0.0f}, TopK(2)),
            (Blocks{1, 2}));
  SelectionRule threshold = TopK(1);
  threshold.kind = Kind::kThreshold;
  threshold.threshold = 0.3f;
  EXPECT_EQ(SelectOne(GetParam(), {kNaN, 1.0f, kNaN, 1.0f}, threshold),
            (Blocks{1, 3}));
  EXPECT_EQ(SelectOne(GetParam(), {kNaN, kNaN}, threshold), Blocks());
}

TEST_P(BlockSelectionTest, ThresholdIsStrict) {
  SelectionRule rule = TopK(1);
  rule.kind = Kind::kThreshold;
  rule.threshold = 0.25f;  // what four equal logits get
  const std::vector<float> row = {2, 2, 2, 2};
  EXPECT_EQ(SelectOne(GetParam(), row, rule), Blocks());
  rule.threshold = std::nextafter(0.25f, 0.0f);
  EXPECT_EQ(SelectOne(GetParam(), row, rule).size(), 4u);
  rule.threshold = 0.25f;
  rule.keep_diagonal = true;
  rule.sink_blocks = 1;
  EXPECT_EQ(SelectOne(GetParam(), row, rule), (Blocks{0, 3}));
  // A forced block stands beside the chosen ones, it does not replace one.
  EXPECT_EQ(SelectOne(GetParam(), {0, 9, 9, 0}, rule), (Blocks{0, 1, 2, 3}));
}

TEST_P(BlockSelectionTest, EverythingReadsNoLogits) {
  const RaggedCase ragged({WholePrompt(200), GeneratedRows(64, 70, 2)}, 1);
  SelectionRule rule = MakeRule(Kind::kAll, 4);
  SelectionCase selection(ragged.batch(), 3, 4, {rule, SelectionRule()});
  BlockSelectionArgs args = selection.args();
  args.logits = nullptr;
  args.logits_row_len = 0;
  ASSERT_TRUE(SelectOn(GetParam(), args).ok());
  for (int64_t tile = 0; tile < 4; ++tile) {
    for (int64_t head = 0; head < 3; ++head) {
      EXPECT_EQ(args.sets.counts[args.sets.Row(tile, head)], tile + 1);
    }
  }
  EXPECT_EQ(args.num_selected[0], 30);
  EXPECT_EQ(args.num_selected[1], 0);
}

TEST_P(BlockSelectionTest, BudgetsWithoutLimitReadEverything) {
  const int32_t n = 70;
  const std::vector<int32_t> whole(2, n * 1024);
  SelectionRule top_k = MakeRule(Kind::kTopK, n);
  top_k.top_k = std::numeric_limits<int32_t>::max();
  SelectionRule budget = MakeRule(Kind::kRowBudget, n);
  budget.row_budgets = whole.data();
  for (const SelectionRule& rule : {top_k, budget}) {
    const RaggedCase ragged({WholePrompt(n * kBlockSize - 5)}, 1);
    SelectionCase selection(ragged.batch(), 2, n, {rule});
    const BlockLists lists = selection.Run(GetParam());
    for (int32_t i = 0; i < n; ++i) {
      EXPECT_EQ(static_cast<int32_t>(lists[2 * i].size()), i + 1);
    }
  }
}

TEST_P(BlockSelectionTest, AddsToWhatIsCounted) {
  const RaggedCase ragged({WholePrompt(300), WholePrompt(200)}, 1);
  SelectionRule rule = MakeRule(Kind::kTopK, 5);
  SelectionCase selection(ragged.batch(), 5, 5, {rule, SelectionRule()});
  BlockSelectionArgs args = selection.args();
  args.num_selected[0] = 1000;
  args.num_selected[1] = int64_t{1} << 40;
  ASSERT_TRUE(SelectOn(GetParam(), args).ok());
  EXPECT_EQ(args.num_selected[0], 1000 + 5 * 15);
  EXPECT_EQ(args.num_selected[1], (int64_t{1} << 40) + 5 * 10);
  args.num_selected = nullptr;
  EXPECT_TRUE(SelectOn(GetParam(), args).ok());
}

TEST_P(BlockSelectionTest, ClearsEveryWordOfARow) {
  const int32_t n = 70;
  const RaggedCase ragged({PromptChunk(n * kBlockSize, 0, n * kBlockSize)}, 1);
  SelectionRule rule = TopK(2);
  rule.num_prompt_tiles = n;
  SelectionCase selection(ragged.batch(), 3, n, {rule});
  selection.WidenSets(90);
  const BlockLists lists = selection.Run(GetParam());
  for (int32_t i = 1; i < n; ++i) EXPECT_EQ(lists[3 * i], (Blocks{0, 1}));
}

INSTANTIATE_TEST_SUITE_P(Backends, BlockSelectionTest,
                         testing::ValuesIn(BuiltBackends()), BackendName);

TEST(BlockSelectionChecksTest, RefusesWhatItCannotRun) {
  const RaggedCase ragged({WholePrompt(300)}, 1);
  const std::vector<int32_t> budgets = {1024, -1};
  SelectionCase selection(ragged.batch(), 2, 5, {MakeRule(Kind::kTopK, 5)});
  const BlockSelectionArgs good = selection.args();
  ASSERT_TRUE(SelectBlocks(Backend::kCpu, good, {}).ok());
  const std::function<void(BlockSelectionArgs&, SelectionRule&)> breakages[] = {
      [](BlockSelectionArgs&, SelectionRule& r) { r.top_k = 0; },
      [](BlockSelectionArgs&, SelectionRule& r) { r.sink_blocks = 17; },
      [](BlockSelectionArgs&, SelectionRule& r) { r.sink_blocks = -1; },
      [](BlockSelectionArgs&, SelectionRule& r) { r.dense_last_blocks = -1; },
      [](BlockSelectionArgs&, SelectionRule& r) { r.num_prompt_tiles = 4; },
      [](BlockSelectionArgs&, SelectionRule& r) {
        r.kind = Kind::kThreshold;
        r.threshold = 0.0f;
      },
      [](BlockSelectionArgs&, SelectionRule& r) {
        r.kind = Kind::kThreshold;
        r.threshold = 1.0f;
      },
      [](BlockSelectionArgs&, SelectionRule& r) {
        r.kind = Kind::kThreshold;
        r.threshold = kNaN;
      },
      [](BlockSelectionArgs&, SelectionRule& r) { r.kind = Kind::kRowBudget; },
      [&](BlockSelectionArgs&, SelectionRule& r) {
        r.kind = Kind::kRowBudget;
        r.row_budgets = budgets.data();
      },
      [](BlockSelectionArgs&, SelectionRule& r) {
        r.kind = static_cast<Kind>(9);
      },
      [](BlockSelectionArgs& a, SelectionRule&) { a.logits = nullptr; },
      [](BlockSelectionArgs& a, SelectionRule&) { a.logits_row_len = 4; },
      [](BlockSelectionArgs& a, SelectionRule&) { a.num_query_heads = 3; },
      [](BlockSelectionArgs& a, SelectionRule&) { a.sets.num_words = 0; },
      [](BlockSelectionArgs& a, SelectionRule&) { a.sets.bits = nullptr; },
      [](BlockSelectionArgs& a, SelectionRule&) { a.sets.counts = nullptr; },
      [](BlockSelectionArgs& a, SelectionRule&) { a.rules = nullptr; },
      [](BlockSelectionArgs& a, SelectionRule&) { a.batch.num_rows = 1; },
  };
  for (size_t i = 0; i < std::size(breakages); ++i) {
    BlockSelectionArgs bad = good;
    SelectionRule rule = good.rules[0];
    bad.rules = &rule;
    breakages[i](bad, rule);
    EXPECT_EQ(SelectBlocks(Backend::kCpu, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
  }
}

TEST(BlockSelectionChecksTest, TheGpuRefusesWhatTheHostCanSee) {
  if (BuiltBackends().back() != Backend::kCuda) {
    GTEST_SKIP() << "built without CUDA";
  }
  const RaggedCase ragged({WholePrompt(300)}, 1);
  SelectionCase selection(ragged.batch(), 2, 5, {MakeRule(Kind::kTopK, 5)});
  const std::function<void(BlockSelectionArgs&)> breakages[] = {
      [](BlockSelectionArgs& a) { a.num_query_heads = 3; },
      [](BlockSelectionArgs& a) { a.num_query_heads = 0; },
      [](BlockSelectionArgs& a) { a.sets.bits = nullptr; },
      [](BlockSelectionArgs& a) { a.sets.counts = nullptr; },
      [](BlockSelectionArgs& a) { a.rules = nullptr; },
  };
  for (size_t i = 0; i < std::size(breakages); ++i) {
    BlockSelectionArgs bad = selection.args();
    breakages[i](bad);
    EXPECT_EQ(SelectBlocks(Backend::kCuda, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
  }
}

}  // namespace
}  // namespace seer
