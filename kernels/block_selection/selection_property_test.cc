// Random rules on random logits: every backend chooses what the reference does.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "base/thread/thread_pool.h"
#include "gtest/gtest.h"
#include "kernels/block_selection/block_selection.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#include "tests/testing/kernels/cases/selection_case.h"
#include "tests/testing/kernels/cpu_targets.h"
#include "tests/testing/kernels/oracles/near_tie.h"

namespace seer {
namespace {

using Kind = SelectionRule::Kind;
using Blocks = std::vector<int32_t>;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

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
    if ((*random)() % 211 == 0) x = std::ldexp(x, -130);  // not normal
  }
}

std::vector<uint8_t> Mask(const Blocks& blocks, int32_t num_visible) {
  std::vector<uint8_t> mask(num_visible);
  for (const int32_t j : blocks) mask[j] = 1;
  return mask;
}

// What a backend chose against the reference: equal, but that a GPU's rows of a
// threshold may differ at near-ties. Returns how many rows differ.
int64_t ExpectAgree(Backend backend, SelectionCase& selection,
                    const BlockLists& want, const BlockLists& got) {
  const BlockSelectionArgs& args = selection.args();
  EXPECT_EQ(got.size(), want.size());
  int64_t num_different = 0;
  for (size_t row = 0; row < want.size(); ++row) {
    if (got[row] == want[row]) continue;
    const int64_t tile = static_cast<int64_t>(row) / args.num_query_heads;
    const int64_t head = static_cast<int64_t>(row) % args.num_query_heads;
    const SelectionRule& rule = selection.rule(tile);
    const int32_t num_visible = VisibleBlocks(args.batch.tiles[tile]);
    SCOPED_TRACE(testing::Message()
                 << "tile " << tile << ", head " << head << ", kind "
                 << static_cast<int>(rule.kind) << ", visible " << num_visible);
    if (backend != Backend::kCuda || rule.kind != Kind::kThreshold) {
      EXPECT_EQ(got[row], want[row]);
      continue;
    }
    num_different += DiffersAtNearTies(
        rule, selection.Row(tile, head), Mask(want[row], num_visible).data(),
        Mask(got[row], num_visible).data(), num_visible, /*gap=*/0.0);
  }
  return num_different;
}

using FastSelectionTest = BackendTest;
using SelectionChunksTest = BackendTest;

TEST_P(FastSelectionTest, EqualsReferenceOnMixedBatches) {
  std::mt19937_64 random(11);
  ThreadPool threads(3);
  int64_t num_rows = 0, num_different = 0;
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
    SelectionCase selection(ragged.batch(), num_heads,
                            ragged.max_visible_blocks(), rules);
    FillLogits(&selection.logits, &random);
    SCOPED_TRACE(testing::Message() << "round " << round);
    const BlockLists want = selection.Run(Backend::kReference);
    const DeviceStream stream{&threads};
    num_rows += static_cast<int64_t>(want.size());
    num_different += ExpectAgree(GetParam(), selection, want,
                                 selection.Run(GetParam(), stream));
    if (GetParam() != Backend::kCpu) continue;
    ForEachCpuTarget([&](const char* name) {
      EXPECT_EQ(selection.Run(Backend::kCpu), want) << name;
    });
  }
  std::printf("%s: %lld of %lld rows differ from the reference, at near-ties\n",
              Name(GetParam()), static_cast<long long>(num_different),
              static_cast<long long>(num_rows));
  EXPECT_LE(num_different, num_rows / 100);
}

// Rows of one block, about the lengths at which a GPU takes another kernel, and
// beyond 131072 tokens.
TEST_P(FastSelectionTest, EqualsReferenceOnRowsOfEveryLength) {
  std::mt19937_64 random(14);
  constexpr int32_t kNumHeads = 5;
  for (const int32_t n : {1, 2, 3, 64, 65, 127, 128, 129, 511, 512, 513, 1025,
                          2047, 2048, 2049, 4500}) {
    for (int round = 0; round < 4; ++round) {
      const int32_t len = n * kBlockSize;
      const RaggedCase ragged(
          {PromptChunk(len, std::max(0, n - 4) * kBlockSize, len)}, 1);
      std::vector<std::vector<int32_t>> budgets;
      SelectionRule rule = RandomRule(n, kNumHeads, &budgets, &random);
      rule.kind = static_cast<Kind>(1 + round % 3);
      rule.dense_last_blocks = 1;
      rule.threshold = 1.0f / static_cast<float>(n + 1);
      rule.row_budgets = budgets[0].data();
      SelectionCase selection(ragged.batch(), kNumHeads, n, {rule});
      FillLogits(&selection.logits, &random);
      SCOPED_TRACE(testing::Message() << n << " blocks, round " << round);
      ExpectAgree(GetParam(), selection, selection.Run(Backend::kReference),
                  selection.Run(GetParam()));
    }
  }
}

// Every tile of a prompt in one step.
TEST_P(FastSelectionTest, EqualsReferenceOnWholeLongPrompts) {
  std::mt19937_64 random(15);
  constexpr int32_t kNumHeads = 2;
  for (const int32_t len : {4097, 8191, 32768, 131072}) {
    const RaggedCase ragged({WholePrompt(len)}, 1);
    const int32_t n = ragged.max_visible_blocks();
    std::vector<std::vector<int32_t>> budgets;
    SelectionRule rule = RandomRule(n, kNumHeads, &budgets, &random);
    rule.kind = Kind::kRowBudget;
    rule.row_budgets = budgets[0].data();
    SelectionCase selection(ragged.batch(), kNumHeads, n, {rule});
    FillLogits(&selection.logits, &random);
    SCOPED_TRACE(testing::Message() << len << " tokens");
    ThreadPool threads(3);
    ExpectAgree(GetParam(), selection, selection.Run(Backend::kReference),
                selection.Run(GetParam(), DeviceStream{&threads}));
  }
}

// Every set again, from the rule's words and with no code of the op's.
TEST(SelectionReferenceTest, SetsFollowTheirRule) {
  std::mt19937_64 random(12);
  for (int round = 0; round < 40; ++round) {
    const int32_t n = 1 + static_cast<int32_t>(random() % 90);
    const RaggedCase ragged({WholePrompt(n * kBlockSize)}, random());
    std::vector<std::vector<int32_t>> budgets;
    SelectionRule rule = RandomRule(n, 2, &budgets, &random);
    rule.row_budgets = budgets[0].data();
    SelectionCase selection(ragged.batch(), 2, n, {rule});
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

TEST_P(SelectionChunksTest, ChunkedEqualsWhole) {
  std::mt19937_64 random(13);
  const int32_t n = 40;
  const int32_t len = n * kBlockSize - 20;
  std::vector<std::vector<int32_t>> budgets;
  for (int round = 0; round < 12; ++round) {
    budgets.clear();
    SelectionRule rule = RandomRule(n, 3, &budgets, &random);
    rule.row_budgets = budgets[0].data();
    const RaggedCase whole_case({WholePrompt(len)}, 1);
    SelectionCase whole(whole_case.batch(), 3, n, {rule});
    FillLogits(&whole.logits, &random);
    const BlockLists want = whole.Run(GetParam());
    BlockLists got;
    for (int32_t begin = 0; begin < n;) {
      const int32_t end =
          std::min<int32_t>(n, begin + 1 + static_cast<int32_t>(random() % 9));
      const RaggedCase chunk_case(
          {PromptChunk(len, begin * kBlockSize,
                       std::min(len, end * kBlockSize))},
          2);
      SelectionCase chunk(chunk_case.batch(), 3, end, {rule});
      for (int32_t i = begin; i < end; ++i) {
        for (int32_t h = 0; h < 3; ++h) {
          std::copy_n(whole.Row(i, h), i + 1, chunk.Row(i - begin, h));
        }
      }
      const BlockLists lists = chunk.Run(GetParam());
      got.insert(got.end(), lists.begin(), lists.end());
      begin = end;
    }
    EXPECT_EQ(got, want);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, FastSelectionTest,
                         testing::ValuesIn(FastBackends()), BackendName);
INSTANTIATE_TEST_SUITE_P(Backends, SelectionChunksTest,
                         testing::ValuesIn(BuiltBackends()), BackendName);

}  // namespace
}  // namespace seer
