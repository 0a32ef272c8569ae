#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/thread/thread_pool.h"
#include "gtest/gtest.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/backend_cases.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 4099;

PagedSequences MakeSequences(const HeadShape& shape, DType dtype,
                             const std::vector<int32_t>& prompt_lens,
                             uint64_t seed = kSeed) {
  return RandomSequences(shape, dtype, prompt_lens, kSeed, seed);
}

class GateInvarianceTest : public BackendCaseTest {
 protected:
  std::vector<GateWeights> Gates(const HeadShape& shape) const {
    return GatesOfEveryKind(shape, dtype(), kSeed);
  }
};

TEST_P(GateInvarianceTest, ChunksAndNeighboursChangeNoBit) {
  const int32_t len = 9 * 64 + 10;
  ThreadPool threads(3);
  for (const HeadShape& shape : {HeadShape{6, 2, 80}, HeadShape{4, 2, 128}}) {
    for (const GateWeights& gate : Gates(shape)) {
      PagedSequences alone = MakeSequences(shape, dtype(), {len});
      const PreparedStep whole = alone.Prepare(backend(), alone.WholePrompts());
      const std::vector<float> want =
          ScoredGate(&alone, gate).Score(backend(), whole);
      const int64_t n = NumBlocks(len);

      // The same prompt in chunks, other pages, beside other sequences.
      PagedSequences crowd =
          MakeSequences(shape, dtype(), {len, 200, 64}, kSeed + 9);
      ScoredGate crowd_gate(&crowd, gate);
      const std::vector<std::vector<StepSlice>> steps = {
          {{1, 0, 128}, {0, 0, 64}},
          {{0, 64, 320}, {1, 128, 200}, {2, 0, 64}},
          {{1, 200, 201}, {0, 320, 576}},
          {{2, 64, 65}, {0, 576, len}}};
      int64_t row = 0;
      for (const auto& slices : steps) {
        const PreparedStep step = crowd.Prepare(backend(), slices);
        const std::vector<float> got =
            crowd_gate.Score(backend(), step, DeviceStream{&threads});
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

TEST_P(GateInvarianceTest, OnlyTheTilesGivenAreScored) {
  const HeadShape shape{4, 2, 64};
  for (const GateWeights& gate : Gates(shape)) {
    PagedSequences sequences = MakeSequences(shape, dtype(), {100, 200, 300});
    const PreparedStep step =
        sequences.Prepare(backend(), sequences.WholePrompts());
    const std::vector<float> all =
        ScoredGate(&sequences, gate).Score(backend(), step);
    // Sequence 1 is another gate's.
    const std::vector<int32_t> tiles = {0, 1, 6, 7, 8, 9, 10};
    const std::vector<float> some =
        ScoredGate(&sequences, gate).Score(backend(), step, tiles);
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

TEST_P(GateInvarianceTest, NaNInAQueryStaysInItsTile) {
  const HeadShape shape{4, 2, 64};
  for (const GateWeights& gate : Gates(shape)) {
    SequenceTokens tokens = RandomTokens(shape, 640, 640, dtype(), kSeed);
    // Tile 3, head 1, a channel of it.
    tokens.queries[(3 * 64 + 7) * 256 + 64 + 9] =
        std::numeric_limits<float>::quiet_NaN();
    PagedSequences sequences(shape, dtype(), {tokens}, PlainRope(), kSeed);
    const PreparedStep step =
        sequences.Prepare(backend(), sequences.WholePrompts());
    const std::vector<float> logits =
        ScoredGate(&sequences, gate).Score(backend(), step);
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

INSTANTIATE_TEST_SUITE_P(All, GateInvarianceTest, AllBackendCases(),
                         BackendCaseName);

}  // namespace
}  // namespace seer
