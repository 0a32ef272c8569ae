#include "kernels/gate_score/gate_score.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "gtest/gtest.h"
#include "tests/testing/kernels/cpu_targets.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/gate_oracle.h"
#include "tests/testing/kernels/paged_sequences.h"
#include "tests/testing/kernels/scored_gate.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 4099;

RopeConfig Rope() {
  RopeConfig rope;
  rope.theta = 100000.0;
  return rope;
}

PagedSequences MakeSequences(const HeadShape& shape, DType dtype,
                             const std::vector<int32_t>& prompt_lens,
                             uint64_t seed = kSeed) {
  std::vector<SequenceTokens> tokens;
  for (size_t i = 0; i < prompt_lens.size(); ++i) {
    tokens.push_back(RandomTokens(shape, prompt_lens[i] + 3, prompt_lens[i],
                                  dtype, kSeed + i));
  }
  return PagedSequences(shape, dtype, std::move(tokens), Rope(), seed);
}

// The visible logits of the step's prompt tiles, in order; CHECKs by test that
// nothing else was written.
std::vector<float> Visible(const std::vector<float>& logits,
                           const PreparedStep& step, const HeadShape& shape) {
  const RaggedBatch& batch = step.batch.batch();
  const int64_t row_len = ScoredGate::RowLen(step);
  std::vector<float> visible;
  for (int64_t tile = 0; tile < batch.num_prompt_tiles; ++tile) {
    for (int64_t h = 0; h < shape.num_query_heads; ++h) {
      const float* row = &logits[(tile * shape.num_query_heads + h) * row_len];
      const int64_t num_visible = VisibleBlocks(batch.tiles[tile]);
      visible.insert(visible.end(), row, row + num_visible);
      for (int64_t j = num_visible; j < row_len; ++j) {
        EXPECT_TRUE(std::isnan(row[j])) << "written past the visible blocks";
      }
    }
  }
  return visible;
}

// The same, exact.
std::vector<float> ExactVisible(PagedSequences& sequences,
                                const GateWeights& gate) {
  const HeadShape& shape = sequences.shape();
  std::vector<float> visible;
  for (const SequenceTokens& tokens : sequences.sequences()) {
    const std::vector<double> exact =
        ScoreExactly(shape, tokens, gate, ToExactRope(sequences.rope())).logits;
    const int64_t n = NumBlocks(tokens.prompt_len);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t h = 0; h < shape.num_query_heads; ++h) {
        const double* row = &exact[(h * n + i) * n];
        visible.insert(visible.end(), row, row + i + 1);
      }
    }
  }
  return visible;
}

struct Scores {
  std::vector<float> cpu, reference, exact;
};

Scores ScoreAll(PagedSequences& sequences, const GateWeights& gate,
                DeviceStream stream) {
  const HeadShape& shape = sequences.shape();
  const PreparedStep step =
      sequences.Prepare(Backend::kCpu, sequences.WholePrompts());
  ScoredGate cpu(&sequences, gate);
  ScoredGate reference(&sequences, gate);
  Scores scores;
  scores.cpu = Visible(cpu.Score(Backend::kCpu, step, stream), step, shape);
  scores.reference =
      Visible(reference.Score(Backend::kReference, step), step, shape);
  scores.exact = ExactVisible(sequences, gate);
  return scores;
}

double LargestError(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  }
  return largest;
}

struct Design {
  PoolSet query_pools, key_pools;
  bool is_double = false;
};

// All 49 designs; those with one query pool both ways.
std::vector<Design> AllDesigns() {
  std::vector<Design> designs;
  for (const PoolSet& q : AllPoolSets()) {
    for (const PoolSet& k : AllPoolSets()) {
      if (q.size() == 1) designs.push_back({q, k, false});
      designs.push_back({q, k, true});
    }
  }
  return designs;
}

TEST(GateScoreTest, EveryDesignIsWithinTheErrorBudget) {
  const HeadShape shape{4, 2, 64};
  ThreadPool threads(2);
  for (const Design& design : AllDesigns()) {
    double reference_error[2];
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      PagedSequences sequences = MakeSequences(shape, dtype, {150, 64, 1});
      const GateWeights gate =
          RandomGate(shape, dtype, design.query_pools, design.key_pools,
                     design.is_double, kSeed);
      const Scores scores = ScoreAll(sequences, gate, DeviceStream{&threads});
      EXPECT_TRUE(WithinErrorBudget(scores.cpu, scores.reference, scores.exact,
                                    DType::kFloat32))
          << DesignName(design.query_pools, design.key_pools)
          << (design.is_double ? " double" : " single")
          << (dtype == DType::kFloat32 ? " fp32" : " bf16");
      reference_error[dtype == DType::kFloat32 ? 0 : 1] =
          LargestError(scores.reference, scores.exact);
    }
    // The fp32 reference is the definition. Each of its roundings is 2^-16 of
    // one in bf16, and a logit's longest chain pools, projects and multiplies.
    const int64_t num_inputs =
        std::max(design.query_pools.size(), design.key_pools.size()) *
        shape.head_dim;
    const double num_roundings =
        static_cast<double>(kBlockSize + num_inputs + shape.head_dim);
    EXPECT_LE(reference_error[0],
              reference_error[1] * std::ldexp(num_roundings, -16))
        << DesignName(design.query_pools, design.key_pools);
  }
}

TEST(GateScoreTest, RandomShapesAreWithinTheErrorBudget) {
  std::mt19937_64 random(kSeed);
  ThreadPool threads(3);
  const std::vector<Design> designs = AllDesigns();
  const int32_t head_dims[] = {64, 80, 128, 64, 42};
  for (int round = 0; round < 16; ++round) {
    HeadShape shape;
    const int32_t group = 1 + static_cast<int32_t>(random() % 16);
    shape.num_kv_heads = 1 + static_cast<int32_t>(random() % 3);
    shape.num_query_heads = group * shape.num_kv_heads;
    shape.head_dim = head_dims[random() % std::size(head_dims)];
    const DType dtype = random() % 2 == 0 ? DType::kFloat32 : DType::kBFloat16;
    std::vector<int32_t> lens;
    for (uint64_t i = 0; i <= random() % 3; ++i) {
      lens.push_back(1 + static_cast<int32_t>(random() % 700));
    }
    const Design& design = designs[random() % designs.size()];
    const GateWeights gate =
        random() % 4 == 0
            ? MeanPoolGate()
            : RandomGate(shape, dtype, design.query_pools, design.key_pools,
                         design.is_double, random());
    PagedSequences sequences = MakeSequences(shape, dtype, lens, random());
    const Scores scores = ScoreAll(sequences, gate, DeviceStream{&threads});
    EXPECT_TRUE(WithinErrorBudget(scores.cpu, scores.reference, scores.exact,
                                  DType::kFloat32))
        << "round " << round << " D " << shape.head_dim << " group " << group;
  }
}

// A long row: more than one item of work, and panels that are not full.
TEST(GateScoreTest, LongPromptsAreWithinTheErrorBudget) {
  const HeadShape shape{2, 1, 64};
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    PagedSequences sequences = MakeSequences(shape, dtype, {90 * 64 + 5});
    ThreadPool threads(3);
    const Scores scores =
        ScoreAll(sequences, MeanPoolGate(), DeviceStream{&threads});
    EXPECT_TRUE(WithinErrorBudget(scores.cpu, scores.reference, scores.exact,
                                  DType::kFloat32));
  }
}

class GateInvarianceTest : public testing::TestWithParam<DType> {
 protected:
  std::vector<GateWeights> Gates(const HeadShape& shape) const {
    PoolSet avg, all;
    avg.avg = all.max = all.min = all.avg = true;
    return {MeanPoolGate(),
            RandomGate(shape, GetParam(), avg, all, false, kSeed),
            RandomGate(shape, GetParam(), all, avg, true, kSeed)};
  }
};

TEST_P(GateInvarianceTest, ChunksAndNeighboursChangeNoBit) {
  const HeadShape shape{6, 2, 80};
  const int32_t len = 9 * 64 + 10;
  ThreadPool threads(3);
  for (const GateWeights& gate : Gates(shape)) {
    for (const Backend backend : {Backend::kReference, Backend::kCpu}) {
      PagedSequences alone = MakeSequences(shape, GetParam(), {len});
      const PreparedStep whole = alone.Prepare(backend, alone.WholePrompts());
      const std::vector<float> want =
          ScoredGate(&alone, gate).Score(backend, whole);
      const int64_t n = NumBlocks(len);

      // The same prompt in chunks, other pages, beside other sequences.
      PagedSequences crowd =
          MakeSequences(shape, GetParam(), {len, 200, 64}, kSeed + 9);
      ScoredGate crowd_gate(&crowd, gate);
      const std::vector<std::vector<StepSlice>> steps = {
          {{1, 0, 128}, {0, 0, 64}},
          {{0, 64, 320}, {1, 128, 200}, {2, 0, 64}},
          {{1, 200, 201}, {0, 320, 576}},
          {{2, 64, 65}, {0, 576, len}}};
      int64_t row = 0;
      for (const auto& slices : steps) {
        const PreparedStep step = crowd.Prepare(backend, slices);
        const std::vector<float> got =
            crowd_gate.Score(backend, step, DeviceStream{&threads});
        const RaggedBatch& batch = step.batch.batch();
        for (int64_t t = 0; t < batch.num_prompt_tiles; ++t) {
          if (slices[batch.tiles[t].sequence].sequence != 0) continue;
          ASSERT_EQ(batch.tiles[t].block, row / shape.num_query_heads);
          for (int64_t h = 0; h < shape.num_query_heads; ++h, ++row) {
            EXPECT_EQ(
                0, std::memcmp(&got[(t * shape.num_query_heads + h) *
                                    ScoredGate::RowLen(step)],
                               &want[row * n],
                               VisibleBlocks(batch.tiles[t]) * sizeof(float)))
                << "block " << batch.tiles[t].block << " head " << h;
          }
        }
      }
      EXPECT_EQ(row, n * shape.num_query_heads);
    }
  }
}

TEST_P(GateInvarianceTest, InstructionSetsAreWithinTheErrorBudget) {
  const HeadShape shape{6, 2, 80};
  for (const GateWeights& gate : Gates(shape)) {
    PagedSequences sequences = MakeSequences(shape, GetParam(), {1000, 70});
    std::map<std::string, std::vector<float>> cpu_by_target;
    ForEachCpuTarget([&](const char* name) {
      const Scores scores = ScoreAll(sequences, gate, {});
      EXPECT_TRUE(WithinErrorBudget(scores.cpu, scores.reference, scores.exact,
                                    DType::kFloat32))
          << name;
      cpu_by_target[name] = scores.cpu;
    });
    // Wider vectors change no bit where multiply-adds are fused alike.
    if (cpu_by_target.count("AVX2") != 0 && cpu_by_target.count("AVX3") != 0) {
      EXPECT_EQ(cpu_by_target["AVX2"], cpu_by_target["AVX3"]);
    }
  }
}

TEST_P(GateInvarianceTest, OnlyTheTilesGivenAreScored) {
  const HeadShape shape{4, 2, 64};
  for (const GateWeights& gate : Gates(shape)) {
    for (const Backend backend : {Backend::kReference, Backend::kCpu}) {
      PagedSequences sequences =
          MakeSequences(shape, GetParam(), {100, 200, 300});
      const PreparedStep step =
          sequences.Prepare(backend, sequences.WholePrompts());
      const std::vector<float> all =
          ScoredGate(&sequences, gate).Score(backend, step);
      // Sequence 1 is another gate's.
      const std::vector<int32_t> tiles = {0, 1, 6, 7, 8, 9, 10};
      const std::vector<float> some =
          ScoredGate(&sequences, gate).Score(backend, step, tiles);
      const int64_t row_len = ScoredGate::RowLen(step);
      for (int64_t t = 0; t < step.batch.batch().num_prompt_tiles; ++t) {
        const bool is_scored = std::count(tiles.begin(), tiles.end(), t) != 0;
        const int64_t visible = VisibleBlocks(step.batch.batch().tiles[t]);
        for (int64_t h = 0; h < shape.num_query_heads; ++h) {
          for (int64_t j = 0; j < visible; ++j) {
            const int64_t at = (t * shape.num_query_heads + h) * row_len + j;
            if (is_scored) {
              EXPECT_EQ(some[at], all[at]);
            } else {
              EXPECT_TRUE(std::isnan(some[at]));
            }
          }
        }
      }
    }
  }
}

TEST_P(GateInvarianceTest, NaNInAQueryStaysInItsTile) {
  const HeadShape shape{4, 2, 64};
  for (const GateWeights& gate : Gates(shape)) {
    for (const Backend backend : {Backend::kReference, Backend::kCpu}) {
      SequenceTokens tokens = RandomTokens(shape, 640, 640, GetParam(), kSeed);
      // Tile 3, head 1, a channel of it.
      tokens.queries[(3 * 64 + 7) * 256 + 64 + 9] =
          std::numeric_limits<float>::quiet_NaN();
      PagedSequences sequences(shape, GetParam(), {tokens}, Rope(), kSeed);
      const PreparedStep step =
          sequences.Prepare(backend, sequences.WholePrompts());
      const std::vector<float> logits =
          ScoredGate(&sequences, gate).Score(backend, step);
      for (int64_t tile = 0; tile < 10; ++tile) {
        for (int64_t h = 0; h < 4; ++h) {
          for (int64_t j = 0; j <= tile; ++j) {
            EXPECT_EQ(std::isnan(logits[(tile * 4 + h) * 10 + j]),
                      tile == 3 && h == 1);
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, GateInvarianceTest,
                         testing::Values(DType::kFloat32, DType::kBFloat16));

TEST(GateScoreChecksTest, RefusesWhatItCannotRun) {
  const HeadShape shape{4, 2, 64};
  PagedSequences sequences = MakeSequences(shape, DType::kFloat32, {100, 200});
  PoolSet avg, two;
  avg.avg = two.max = two.min = true;
  ScoredGate single(&sequences,
                    RandomGate(shape, DType::kFloat32, avg, two, false, kSeed));
  const PreparedStep step =
      sequences.Prepare(Backend::kCpu, sequences.WholePrompts());
  const std::vector<int32_t> tiles = {0, 1, 2, 3, 4, 5};
  std::vector<float> logits(6 * 4 * 4);
  const GateScoreArgs good = single.Args(step, tiles, logits.data());
  ASSERT_TRUE(GateScore(Backend::kCpu, good, {}).ok());
  GateScoreArgs none = good;
  none.num_scored_tiles = 0;
  EXPECT_TRUE(GateScore(Backend::kCpu, none, {}).ok());

  const int32_t descending[] = {1, 0};
  const int32_t beyond[] = {0, 6};
  const std::function<void(GateScoreArgs&)> breakages[] = {
      [](GateScoreArgs& a) { a.gate.linear_k = nullptr; },
      [](GateScoreArgs& a) { a.gate.query_pools = PoolSet(); },
      [](GateScoreArgs& a) { a.gate.key_pools = PoolSet(); },
      [](GateScoreArgs& a) { a.gate.query_pools.max = true; },
      [](GateScoreArgs& a) { a.num_entry_heads = 2; },
      [](GateScoreArgs& a) { a.gate.mean_pool = true; },
      [](GateScoreArgs& a) { a.gate.linear_q = a.gate.linear_k; },
      [](GateScoreArgs& a) { a.rope.head_dim = 128; },
      [](GateScoreArgs& a) { a.rope.num_positions = 199; },
      [](GateScoreArgs& a) { a.logits = nullptr; },
      [](GateScoreArgs& a) { a.key_entries = nullptr; },
      [](GateScoreArgs& a) { a.pooled_queries = nullptr; },
      [](GateScoreArgs& a) { a.logits_row_len = 3; },
      [](GateScoreArgs& a) { a.num_query_heads = 3; },
      [](GateScoreArgs& a) { a.kv.num_pages = 1; },
      [](GateScoreArgs& a) { a.num_scored_tiles = -1; },
      [&](GateScoreArgs& a) {
        a.tile_indices = descending;
        a.num_scored_tiles = 2;
      },
      [&](GateScoreArgs& a) {
        a.tile_indices = beyond;
        a.num_scored_tiles = 2;
      },
  };
  for (size_t i = 0; i < std::size(breakages); ++i) {
    GateScoreArgs bad = good;
    breakages[i](bad);
    EXPECT_EQ(GateScore(Backend::kCpu, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
  }
}

}  // namespace
}  // namespace seer
