// From queries and keys to block sets, through qk_prepare, gate_score and
// block_selection: what sets may depend on, and what they may not.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "base/thread/thread_pool.h"
#include "gtest/gtest.h"
#include "kernels/block_selection/block_selection.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"
#include "tests/testing/kernels/cases/selection_case.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/oracles/gate_oracle.h"
#include "tests/testing/kernels/oracles/near_tie.h"

namespace seer {
namespace {

using Kind = SelectionRule::Kind;

constexpr uint64_t kSeed = 31;

// Which blocks (sequence, tile's block, head) reads; 0 or 1 of each visible.
using RowKey = std::pair<std::pair<int32_t, int32_t>, int32_t>;
using Rows = std::map<RowKey, std::vector<uint8_t>>;

// Rules of the sequences of a test, with the row budgets they borrow.
struct Policies {
  std::vector<SelectionRule> rules;
  std::vector<std::vector<int32_t>> row_budgets;
};

Policies RandomPolicies(const PagedSequences& sequences,
                        std::mt19937_64* random) {
  const auto below = [random](uint64_t n) {
    return static_cast<int32_t>((*random)() % n);
  };
  Policies policies;
  for (size_t i = 0; i < sequences.sequences().size(); ++i) {
    const int32_t n =
        static_cast<int32_t>(NumBlocks(sequences.sequences()[i].prompt_len));
    std::vector<int32_t> budgets(sequences.shape().num_query_heads);
    for (int32_t& k : budgets) k = below(n * 1024);
    policies.row_budgets.push_back(std::move(budgets));
    SelectionRule rule;
    rule.kind = static_cast<Kind>(1 + below(3));
    rule.num_prompt_tiles = n;
    rule.top_k = 1 + below(n);
    rule.threshold = std::ldexp(1.0f, -2 - below(6));
    rule.sink_blocks = below(3);
    rule.dense_last_blocks = below(3);
    rule.keep_diagonal = below(2) == 0;
    rule.row_budgets = policies.row_budgets.back().data();
    policies.rules.push_back(rule);
  }
  return policies;
}

// Sets of one step, by sequence of `slices`.
void SelectStep(Backend backend, const PreparedStep& step,
                const std::vector<StepSlice>& slices, const Policies& policies,
                const std::vector<float>& logits, int32_t num_heads,
                Rows* rows) {
  const RaggedBatch& batch = step.batch.batch();
  std::vector<SelectionRule> rules;
  for (const StepSlice& slice : slices) {
    rules.push_back(policies.rules[slice.sequence]);
  }
  BlockSelectionArgs args;
  args.batch = batch;
  args.rules = rules.data();
  args.num_query_heads = num_heads;
  args.logits = logits.data();
  args.logits_row_len = ScoredGate::RowLen(step);
  args.sets.num_query_heads = num_heads;
  args.sets.num_words = (args.logits_row_len + 63) / 64;
  std::vector<int32_t> counts(int64_t{batch.num_prompt_tiles} * num_heads);
  std::vector<uint64_t> bits(counts.size() * args.sets.num_words);
  args.sets.counts = counts.data();
  args.sets.bits = bits.data();
  const absl::Status status = SelectOn(backend, args);
  ASSERT_TRUE(status.ok()) << status;
  for (int32_t tile = 0; tile < batch.num_prompt_tiles; ++tile) {
    const Tile& t = batch.tiles[tile];
    for (int32_t h = 0; h < num_heads; ++h) {
      std::vector<uint8_t> row(VisibleBlocks(t));
      const bool is_full =
          counts[args.sets.Row(tile, h)] == static_cast<int32_t>(row.size());
      for (size_t j = 0; j < row.size(); ++j) {
        row[j] =
            is_full || (args.sets.Bits(tile, h)[j / 64] >> (j % 64) & 1) != 0;
      }
      (*rows)[{{slices[t.sequence].sequence, t.block}, h}] = std::move(row);
    }
  }
}

std::vector<SequenceTokens> Tokens(const HeadShape& shape, DType dtype,
                                   const std::vector<int32_t>& lens) {
  std::vector<SequenceTokens> tokens;
  for (size_t i = 0; i < lens.size(); ++i) {
    tokens.push_back(RandomTokens(shape, lens[i], lens[i], dtype, kSeed + i));
  }
  return tokens;
}

// The sets of all prompts when they are computed by `steps`.
Rows RunSteps(Backend backend, PagedSequences& sequences,
              const GateWeights& gate, const Policies& policies,
              const std::vector<std::vector<StepSlice>>& steps,
              DeviceStream stream) {
  const int32_t num_heads = sequences.shape().num_query_heads;
  ScoredGate scored(&sequences, gate);
  Rows rows;
  for (const std::vector<StepSlice>& slices : steps) {
    const PreparedStep step = sequences.Prepare(backend, slices, stream);
    SelectStep(backend, step, slices, policies,
               scored.Score(backend, step, stream), num_heads, &rows);
  }
  return rows;
}

// Random chunks of all prompts, several side by side.
std::vector<std::vector<StepSlice>> RandomChunks(
    const PagedSequences& sequences, std::mt19937_64* random) {
  std::vector<int32_t> done(sequences.sequences().size());
  std::vector<std::vector<StepSlice>> steps;
  for (bool is_done = false; !is_done;) {
    std::vector<StepSlice> slices;
    is_done = true;
    for (size_t i = 0; i < done.size(); ++i) {
      const int32_t len = sequences.sequences()[i].prompt_len;
      if (done[i] == len) continue;
      is_done = false;
      if ((*random)() % 3 == 0) continue;
      const int32_t chunk =
          kBlockSize * (1 + static_cast<int32_t>((*random)() % 6));
      const int32_t end = std::min(len, done[i] + chunk);
      slices.push_back({static_cast<int32_t>(i), done[i], end});
      done[i] = end;
    }
    if (!slices.empty()) steps.push_back(slices);
  }
  return steps;
}

void ExpectNoSetChanges(Backend backend, DType dtype) {
  const HeadShape shape{6, 2, 64};
  const std::vector<int32_t> lens = {1900, 700, 64, 130};
  std::mt19937_64 random(kSeed);
  ThreadPool threads(3);
  for (const GateWeights& gate : GatesOfEveryKind(shape, dtype, kSeed)) {
    PagedSequences whole(shape, dtype, Tokens(shape, dtype, lens), PlainRope(),
                         kSeed);
    const Policies policies = RandomPolicies(whole, &random);
    // One sequence a step, in one piece.
    std::vector<std::vector<StepSlice>> alone;
    for (const StepSlice& slice : whole.WholePrompts()) {
      alone.push_back({slice});
    }
    const Rows want = RunSteps(backend, whole, gate, policies, alone, {});
    PagedSequences chunked(shape, dtype, Tokens(shape, dtype, lens),
                           PlainRope(), kSeed + 1);
    const Rows got =
        RunSteps(backend, chunked, gate, policies,
                 RandomChunks(chunked, &random), DeviceStream{&threads});
    EXPECT_EQ(got, want);
  }
}

using SelectionInvarianceTest = BackendTest;

TEST_P(SelectionInvarianceTest, ChunksNeighboursPagesAndThreadsChangeNoSet) {
  ExpectNoSetChanges(GetParam(), DType::kFloat32);
  ExpectNoSetChanges(GetParam(), DType::kBFloat16);
}

INSTANTIATE_TEST_SUITE_P(Backends, SelectionInvarianceTest,
                         testing::ValuesIn(BuiltBackends()), BackendName);

// How far the reference's logits of one sequence are from the exact ones,
// doubled: the error budget of any other backend.
double LogitBudget(PagedSequences& sequences, const GateWeights& gate,
                   int32_t sequence) {
  const HeadShape& shape = sequences.shape();
  const SequenceTokens& tokens = sequences.sequences()[sequence];
  const ExactLogits exact =
      ScoreExactly(shape, tokens, gate, ToExactRope(sequences.rope()));
  const PreparedStep step = sequences.Prepare(
      Backend::kReference, {{sequence, 0, tokens.prompt_len}});
  const std::vector<float> logits =
      ScoredGate(&sequences, gate).Score(Backend::kReference, step);
  const int64_t n = NumBlocks(tokens.prompt_len);
  double error = 0.0, largest = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t h = 0; h < shape.num_query_heads; ++h) {
      for (int64_t j = 0; j <= i; ++j) {
        const double value = exact.logits[(h * n + i) * n + j];
        const double ours = logits[(i * shape.num_query_heads + h) * n + j];
        error = std::max(error, std::abs(ours - value));
        largest = std::max(largest, std::abs(value));
      }
    }
  }
  return 2.0 * error + HalfUlp(largest, DType::kFloat32);
}

using SelectionBackendsTest = BackendTest;

TEST_P(SelectionBackendsTest, AgreeWithTheReferenceButForNearTies) {
  std::mt19937_64 random(kSeed);
  ThreadPool threads(2);
  int64_t num_rows = 0, num_different = 0;
  for (int round = 0; round < 12; ++round) {
    HeadShape shape;
    shape.num_kv_heads = 1 + static_cast<int32_t>(random() % 2);
    shape.num_query_heads =
        shape.num_kv_heads * (1 + static_cast<int32_t>(random() % 16));
    const int32_t head_dims[] = {64, 80, 128};
    shape.head_dim = head_dims[random() % 3];
    const DType dtype = round % 2 == 0 ? DType::kFloat32 : DType::kBFloat16;
    const GateWeights gate =
        GatesOfEveryKind(shape, dtype, kSeed)[random() % 3];
    const std::vector<int32_t> lens = {
        1 + static_cast<int32_t>(random() % 1500), 300};
    PagedSequences sequences(shape, dtype, Tokens(shape, dtype, lens),
                             PlainRope(), random());
    const Policies policies = RandomPolicies(sequences, &random);
    const std::vector<std::vector<StepSlice>> steps = {
        sequences.WholePrompts()};
    const Rows want =
        RunSteps(Backend::kReference, sequences, gate, policies, steps, {});
    const Rows got = RunSteps(GetParam(), sequences, gate, policies, steps,
                              DeviceStream{&threads});
    const PreparedStep step = sequences.Prepare(Backend::kReference, steps[0]);
    const std::vector<float> logits =
        ScoredGate(&sequences, gate).Score(Backend::kReference, step);
    const double budgets[] = {LogitBudget(sequences, gate, 0),
                              LogitBudget(sequences, gate, 1)};
    const int64_t row_len = ScoredGate::RowLen(step);
    for (int32_t t = 0; t < step.batch.batch().num_prompt_tiles; ++t) {
      const Tile& tile = step.batch.batch().tiles[t];
      for (int32_t h = 0; h < shape.num_query_heads; ++h) {
        const RowKey key = {{tile.sequence, tile.block}, h};
        // The two backends' logits are each within the budget.
        num_different += DiffersAtNearTies(
            policies.rules[tile.sequence],
            &logits[(t * shape.num_query_heads + h) * row_len],
            want.at(key).data(), got.at(key).data(), VisibleBlocks(tile),
            4.0 * budgets[tile.sequence]);
        ++num_rows;
      }
    }
  }
  std::printf("%s: %lld of %lld rows differ from the reference, at near-ties\n",
              Name(GetParam()), static_cast<long long>(num_different),
              static_cast<long long>(num_rows));
  // Near-ties are rare: were they not, the budget would explain anything.
  EXPECT_LT(num_different, num_rows / 20);
}

INSTANTIATE_TEST_SUITE_P(Backends, SelectionBackendsTest,
                         testing::ValuesIn(FastBackends()), BackendName);

}  // namespace
}  // namespace seer
