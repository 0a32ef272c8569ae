#include "kernels/gate_score/gate_score.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/thread/thread_pool.h"
#include "gtest/gtest.h"
#include "tests/testing/kernels/backend_cases.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"
#include "tests/testing/kernels/cpu_targets.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/oracles/gate_oracle.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 4099;

PagedSequences MakeSequences(const HeadShape& shape, DType dtype,
                             const std::vector<int32_t>& prompt_lens,
                             uint64_t seed = kSeed) {
  return RandomSequences(shape, dtype, prompt_lens, kSeed, seed);
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
  std::vector<float> fast, reference, exact;
};

Scores ScoreAll(PagedSequences& sequences, const GateWeights& gate,
                Backend backend, DeviceStream stream = {}) {
  const HeadShape& shape = sequences.shape();
  const PreparedStep step =
      sequences.Prepare(Backend::kCpu, sequences.WholePrompts());
  ScoredGate fast(&sequences, gate);
  ScoredGate reference(&sequences, gate);
  Scores scores;
  scores.fast = Visible(fast.Score(backend, step, stream), step, shape);
  scores.reference =
      Visible(reference.Score(Backend::kReference, step), step, shape);
  scores.exact = ExactVisible(sequences, gate);
  return scores;
}

testing::AssertionResult IsWithinBudget(const Scores& scores) {
  return WithinErrorBudget(scores.fast, scores.reference, scores.exact,
                           DType::kFloat32);
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

// The fp32 reference is the definition. Each of its roundings is 2^-16 of one
// in bf16, and a logit's longest chain pools, projects and multiplies.
TEST(GateReferenceTest, DefinesEveryDesign) {
  const HeadShape shape{4, 2, 64};
  for (const Design& design : AllDesigns()) {
    double errors[2];
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      PagedSequences sequences = MakeSequences(shape, dtype, {150, 64, 1});
      const Scores scores =
          ScoreAll(sequences,
                   RandomGate(shape, dtype, design.query_pools,
                              design.key_pools, design.is_double, kSeed),
                   Backend::kReference);
      errors[dtype == DType::kFloat32 ? 0 : 1] =
          LargestError(scores.reference, scores.exact);
    }
    const int64_t num_inputs =
        std::max(design.query_pools.size(), design.key_pools.size()) *
        shape.head_dim;
    const double num_roundings =
        static_cast<double>(kBlockSize + num_inputs + shape.head_dim);
    EXPECT_LE(errors[0], errors[1] * std::ldexp(num_roundings, -16))
        << DesignName(design.query_pools, design.key_pools);
  }
}

class GateScoreTest : public BackendCaseTest {
 protected:
  GateWeights Weights(const HeadShape& shape, const Design& design,
                      uint64_t seed = kSeed) const {
    return RandomGate(shape, dtype(), design.query_pools, design.key_pools,
                      design.is_double, seed);
  }
};

TEST_P(GateScoreTest, EveryDesignIsWithinTheErrorBudget) {
  ThreadPool threads(2);
  for (const Design& design : AllDesigns()) {
    for (const HeadShape& shape : {HeadShape{4, 2, 64}, HeadShape{2, 1, 128}}) {
      PagedSequences sequences = MakeSequences(shape, dtype(), {150, 64, 1});
      EXPECT_TRUE(IsWithinBudget(ScoreAll(sequences, Weights(shape, design),
                                          backend(), DeviceStream{&threads})))
          << DesignName(design.query_pools, design.key_pools)
          << (design.is_double ? " double" : " single") << " D "
          << shape.head_dim;
    }
  }
}

TEST_P(GateScoreTest, RandomShapesAreWithinTheErrorBudget) {
  std::mt19937_64 random(kSeed);
  ThreadPool threads(3);
  const std::vector<Design> designs = AllDesigns();
  const int32_t head_dims[] = {64, 80, 128, 64, 42};
  for (int round = 0; round < 12; ++round) {
    HeadShape shape;
    const int32_t group = 1 + static_cast<int32_t>(random() % 16);
    shape.num_kv_heads = 1 + static_cast<int32_t>(random() % 3);
    shape.num_query_heads = group * shape.num_kv_heads;
    shape.head_dim = head_dims[random() % std::size(head_dims)];
    std::vector<int32_t> lens;
    for (uint64_t i = 0; i <= random() % 3; ++i) {
      lens.push_back(1 + static_cast<int32_t>(random() % 700));
    }
    const Design& design = designs[random() % designs.size()];
    const GateWeights gate =
        random() % 4 == 0 ? MeanPoolGate() : Weights(shape, design, random());
    PagedSequences sequences = MakeSequences(shape, dtype(), lens, random());
    EXPECT_TRUE(IsWithinBudget(
        ScoreAll(sequences, gate, backend(), DeviceStream{&threads})))
        << "round " << round << " D " << shape.head_dim << " group " << group;
  }
}

// A long row: more than one item of work, and panels that are not full.
TEST_P(GateScoreTest, LongPromptsAreWithinTheErrorBudget) {
  ThreadPool threads(3);
  for (const HeadShape& shape : {HeadShape{2, 1, 64}, HeadShape{2, 2, 128}}) {
    for (const int32_t len : {4097, 90 * 64 + 5, 8191}) {
      PagedSequences sequences = MakeSequences(shape, dtype(), {len});
      EXPECT_TRUE(IsWithinBudget(ScoreAll(sequences, MeanPoolGate(), backend(),
                                          DeviceStream{&threads})))
          << "D " << shape.head_dim << " S " << len;
    }
  }
}

TEST_P(GateScoreTest, BlockBordersAreWithinTheErrorBudget) {
  const HeadShape shape{2, 1, 64};
  const Design design = AllDesigns().back();
  for (const int32_t len : {1, 63, 64, 65, 127, 128, 129}) {
    PagedSequences sequences = MakeSequences(shape, dtype(), {len});
    for (const GateWeights& gate : {MeanPoolGate(), Weights(shape, design)}) {
      EXPECT_TRUE(IsWithinBudget(ScoreAll(sequences, gate, backend())))
          << "S " << len;
    }
  }
}

// Tiles that are computed together are of several sequences.
TEST_P(GateScoreTest, ShortPromptsAreWithinTheErrorBudget) {
  const HeadShape shape{2, 1, 64};
  std::mt19937_64 random(kSeed);
  std::vector<int32_t> lens;
  for (int i = 0; i < 60; ++i) {
    lens.push_back(1 + static_cast<int32_t>(random() % 200));
  }
  PagedSequences sequences = MakeSequences(shape, dtype(), lens);
  ThreadPool threads(3);
  EXPECT_TRUE(IsWithinBudget(
      ScoreAll(sequences, MeanPoolGate(), backend(), DeviceStream{&threads})));
}

INSTANTIATE_TEST_SUITE_P(All, GateScoreTest, FastBackendCases(),
                         BackendCaseName);

class GateInstructionSetTest : public testing::TestWithParam<DType> {};

TEST_P(GateInstructionSetTest, AllAreWithinTheErrorBudget) {
  const HeadShape shape{6, 2, 80};
  for (const GateWeights& gate : GatesOfEveryKind(shape, GetParam(), kSeed)) {
    PagedSequences sequences = MakeSequences(shape, GetParam(), {1000, 70});
    std::map<std::string, std::vector<float>> cpu_by_target;
    ForEachCpuTarget([&](const char* name) {
      const Scores scores = ScoreAll(sequences, gate, Backend::kCpu);
      EXPECT_TRUE(IsWithinBudget(scores)) << name;
      cpu_by_target[name] = scores.fast;
    });
    // Wider vectors change no bit where multiply-adds are fused alike.
    if (cpu_by_target.count("AVX2") != 0 && cpu_by_target.count("AVX3") != 0) {
      EXPECT_EQ(cpu_by_target["AVX2"], cpu_by_target["AVX3"]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, GateInstructionSetTest,
                         testing::Values(DType::kFloat32, DType::kBFloat16));

}  // namespace
}  // namespace seer
