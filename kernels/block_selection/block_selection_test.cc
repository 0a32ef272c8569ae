#include "kernels/block_selection/block_selection.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "gtest/gtest.h"
#include "kernels/block_selection/row_budget.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/cpu_targets.h"
#include "tests/testing/kernels/ragged_case.h"

namespace seer {
namespace {

using Kind = SelectionRule::Kind;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr uint64_t kUnwritten = 0xabcdabcdabcdabcd;

// Sets as lists of blocks; [tile * Hq + head].
using BlockLists = std::vector<std::vector<int32_t>>;

// One call's inputs and outputs.
class Selection {
 public:
  Selection(const RaggedBatch& batch, int32_t num_query_heads,
            int32_t max_visible, std::vector<SelectionRule> rules)
      : rules_(std::move(rules)) {
    args_.batch = batch;
    args_.rules = rules_.data();
    args_.num_query_heads = num_query_heads;
    args_.logits_row_len = max_visible;
    const int64_t num_rows = int64_t{batch.num_prompt_tiles} * num_query_heads;
    logits.assign(num_rows * max_visible, 0.0f);
    args_.logits = logits.data();
    args_.sets.num_words = (max_visible + 63) / 64;
    args_.sets.num_query_heads = num_query_heads;
    counts_.resize(num_rows);
    bits_.resize(num_rows * args_.sets.num_words);
    args_.sets.counts = counts_.data();
    args_.sets.bits = bits_.data();
    num_selected_.resize(batch.num_sequences);
    args_.num_selected = num_selected_.data();
  }

  // Runs it and checks what every result must satisfy.
  BlockLists Run(Backend backend, DeviceStream stream = {}) {
    std::fill(bits_.begin(), bits_.end(), kUnwritten);
    std::fill(counts_.begin(), counts_.end(), -1);
    std::fill(num_selected_.begin(), num_selected_.end(), 0);
    const absl::Status status = SelectBlocks(backend, args_, stream);
    EXPECT_TRUE(status.ok()) << status;
    BlockLists lists;
    std::vector<int64_t> sums(num_selected_.size());
    for (int64_t tile = 0; tile < args_.batch.num_prompt_tiles; ++tile) {
      for (int64_t head = 0; head < args_.num_query_heads; ++head) {
        lists.push_back(List(tile, head));
        sums[args_.batch.tiles[tile].sequence] +=
            static_cast<int64_t>(lists.back().size());
      }
    }
    EXPECT_EQ(num_selected_, sums);
    return lists;
  }

  const BlockSelectionArgs& args() const { return args_; }
  float* Row(int64_t tile, int64_t head) {
    return &logits[(tile * args_.num_query_heads + head) *
                   args_.logits_row_len];
  }

  std::vector<float> logits;

 private:
  std::vector<int32_t> List(int64_t tile, int64_t head) const {
    const int32_t num_visible = VisibleBlocks(args_.batch.tiles[tile]);
    const int32_t count = counts_[args_.sets.Row(tile, head)];
    const uint64_t* bits = args_.sets.Bits(tile, head);
    std::vector<int32_t> list;
    for (int32_t j = 0; j < args_.sets.num_words * 64; ++j) {
      const bool is_set = (bits[j / 64] >> (j % 64) & 1) != 0;
      if (count == num_visible ? j < num_visible : is_set) list.push_back(j);
    }
    EXPECT_EQ(static_cast<int32_t>(list.size()), count);
    if (!list.empty()) {
      EXPECT_LT(list.back(), num_visible) << "a bit past the visible blocks";
    }
    return list;
  }

  std::vector<SelectionRule> rules_;
  BlockSelectionArgs args_;
  std::vector<uint64_t> bits_;
  std::vector<int32_t> counts_;
  std::vector<int64_t> num_selected_;
};

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
  Selection selection(ragged.batch(), 1, num_tiles, {rule});
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

class BlockSelectionTest : public testing::TestWithParam<Backend> {};

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
  Selection selection(ragged.batch(), 3, 4, {rule, SelectionRule()});
  BlockSelectionArgs args = selection.args();
  args.logits = nullptr;
  args.logits_row_len = 0;
  ASSERT_TRUE(SelectBlocks(GetParam(), args, {}).ok());
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
    Selection selection(ragged.batch(), 2, n, {rule});
    const BlockLists lists = selection.Run(GetParam());
    for (int32_t i = 0; i < n; ++i) {
      EXPECT_EQ(static_cast<int32_t>(lists[2 * i].size()), i + 1);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, BlockSelectionTest,
                         testing::Values(Backend::kReference, Backend::kCpu));

// A random rule; `budgets` owns row budgets.
SelectionRule RandomRule(int32_t num_tiles, int32_t num_heads,
                         std::vector<std::vector<int32_t>>* budgets,
                         std::mt19937_64* random) {
  const auto below = [random](uint64_t n) {
    return static_cast<int32_t>((*random)() % n);
  };
  SelectionRule rule;
  rule.kind = static_cast<Kind>(below(4));
  rule.num_prompt_tiles = num_tiles;
  rule.top_k = 1 + below(num_tiles + 3);
  rule.threshold = std::ldexp(1.0f, -1 - below(10));
  rule.sink_blocks = below(3) == 0 ? below(17) : below(3);
  rule.dense_last_blocks = below(4);
  rule.keep_diagonal = below(4) != 0;
  std::vector<int32_t> k(num_heads);
  for (int32_t& value : k) value = below(num_tiles * 1024);
  budgets->push_back(k);
  return rule;
}

// Many ties, and now and then what is not a number.
void FillLogits(std::vector<float>* logits, std::mt19937_64* random) {
  std::normal_distribution<float> normal;
  const uint64_t coarse = (*random)() % 3;
  for (float& x : *logits) {
    x = normal(*random);
    if (coarse == 0) x = std::round(x * 4) / 4;
    if (coarse == 1) x = std::round(x);
    if ((*random)() % 97 == 0) x = kNaN;
    if ((*random)() % 97 == 0) x = -kInf;
    if ((*random)() % 211 == 0) x = -0.0f;
  }
}

TEST(BlockSelectionPropertyTest, CpuEqualsReferenceOnMixedBatches) {
  std::mt19937_64 random(11);
  ThreadPool threads(3);
  for (int round = 0; round < 60; ++round) {
    const int32_t num_heads = 1 + static_cast<int32_t>(random() % 16);
    std::vector<SliceSpec> specs;
    for (uint64_t i = 0; i <= random() % 4; ++i) {
      specs.push_back(RandomSlice(round % 10 == 0 ? 20000 : 2500, random));
    }
    const RaggedCase ragged(specs, random());
    std::vector<SelectionRule> rules;
    std::vector<std::vector<int32_t>> budgets;
    for (const SliceSpec& spec : specs) {
      rules.push_back(
          RandomRule(static_cast<int32_t>(NumBlocks(spec.prompt_len)),
                     num_heads, &budgets, &random));
    }
    for (size_t i = 0; i < rules.size(); ++i) {
      rules[i].row_budgets = budgets[i].data();
    }
    Selection selection(ragged.batch(), num_heads, ragged.max_visible_blocks(),
                        rules);
    FillLogits(&selection.logits, &random);
    const BlockLists want = selection.Run(Backend::kReference);
    EXPECT_EQ(selection.Run(Backend::kCpu, DeviceStream{&threads}), want)
        << "round " << round;
    ForEachCpuTarget([&](const char* name) {
      EXPECT_EQ(selection.Run(Backend::kCpu), want) << name;
    });
  }
}

// Every set again, from the rule's words and with no code of the op's.
TEST(BlockSelectionPropertyTest, SetsFollowTheirRule) {
  std::mt19937_64 random(12);
  for (int round = 0; round < 40; ++round) {
    const int32_t n = 1 + static_cast<int32_t>(random() % 90);
    const RaggedCase ragged({WholePrompt(n * kBlockSize)}, random());
    std::vector<std::vector<int32_t>> budgets;
    SelectionRule rule = RandomRule(n, 2, &budgets, &random);
    rule.row_budgets = budgets[0].data();
    Selection selection(ragged.batch(), 2, n, {rule});
    FillLogits(&selection.logits, &random);
    for (float& x : selection.logits) {
      if (std::isnan(x)) x = -kInf;
    }
    const BlockLists lists = selection.Run(Backend::kReference);
    for (int32_t i = 0; i < n; ++i) {
      for (int32_t h = 0; h < 2; ++h) {
        const Blocks& blocks = lists[i * 2 + h];
        if (i >= n - rule.dense_last_blocks || rule.kind == Kind::kAll) {
          EXPECT_EQ(static_cast<int32_t>(blocks.size()), i + 1);
          continue;
        }
        const float* logits = selection.Row(i, h);
        std::vector<bool> taken(i + 1);
        for (const int32_t j : blocks) taken[j] = true;
        int64_t num_forced = 0;
        for (int32_t j = 0; j <= i; ++j) {
          const bool is_forced =
              j < rule.sink_blocks || (j == i && rule.keep_diagonal);
          if (!is_forced) continue;
          EXPECT_TRUE(taken[j]);
          ++num_forced;
          taken[j] = false;  // leaves the chosen ones
        }
        if (rule.kind == Kind::kThreshold) continue;
        int64_t count = rule.top_k;
        if (rule.kind == Kind::kRowBudget) {
          const int64_t f = rule.row_budgets[h] % 1024;
          count =
              rule.row_budgets[h] / 1024 + (i + 1) * f / 1024 - i * f / 1024;
        }
        count = std::max(num_forced, std::min<int64_t>(count, i + 1));
        EXPECT_EQ(static_cast<int64_t>(blocks.size()), count);
        for (int32_t a = 0; a <= i; ++a) {
          for (int32_t b = 0; b <= i && taken[a]; ++b) {
            const bool b_is_free = !taken[b] && b >= rule.sink_blocks &&
                                   !(b == i && rule.keep_diagonal);
            if (!b_is_free) continue;
            EXPECT_TRUE(logits[a] > logits[b] ||
                        (logits[a] == logits[b] && a < b));
          }
        }
      }
    }
  }
}

TEST(BlockSelectionPropertyTest, ChunkedEqualsWhole) {
  std::mt19937_64 random(13);
  const int32_t n = 40;
  const int32_t len = n * kBlockSize - 20;
  std::vector<std::vector<int32_t>> budgets;
  for (int round = 0; round < 12; ++round) {
    budgets.clear();
    SelectionRule rule = RandomRule(n, 3, &budgets, &random);
    rule.row_budgets = budgets[0].data();
    const RaggedCase whole_case({WholePrompt(len)}, 1);
    Selection whole(whole_case.batch(), 3, n, {rule});
    FillLogits(&whole.logits, &random);
    for (const Backend backend : {Backend::kReference, Backend::kCpu}) {
      const BlockLists want = whole.Run(backend);
      BlockLists got;
      for (int32_t begin = 0; begin < n;) {
        const int32_t end = std::min<int32_t>(
            n, begin + 1 + static_cast<int32_t>(random() % 9));
        const RaggedCase chunk_case(
            {PromptChunk(len, begin * kBlockSize,
                         std::min(len, end * kBlockSize))},
            2);
        Selection chunk(chunk_case.batch(), 3, end, {rule});
        for (int32_t i = begin; i < end; ++i) {
          for (int32_t h = 0; h < 3; ++h) {
            std::copy_n(whole.Row(i, h), i + 1, chunk.Row(i - begin, h));
          }
        }
        const BlockLists lists = chunk.Run(backend);
        got.insert(got.end(), lists.begin(), lists.end());
        begin = end;
      }
      EXPECT_EQ(got, want);
    }
  }
}

TEST(BlockSelectionChecksTest, RefusesWhatItCannotRun) {
  const RaggedCase ragged({WholePrompt(300)}, 1);
  const std::vector<int32_t> budgets = {1024, -1};
  Selection selection(ragged.batch(), 2, 5, {MakeRule(Kind::kTopK, 5)});
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

}  // namespace
}  // namespace seer
