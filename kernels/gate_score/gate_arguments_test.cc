#include <functional>
#include <iterator>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 4099;

TEST(GateArgumentsTest, RefusesWhatItCannotRun) {
  const HeadShape shape{4, 2, 64};
  PagedSequences sequences(
      shape, DType::kFloat32,
      {RandomTokens(shape, 100, 100, DType::kFloat32, kSeed),
       RandomTokens(shape, 200, 200, DType::kFloat32, kSeed)},
      RopeConfig(), kSeed);
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
  // Of shapes first: a GPU's backend cannot see the others.
  const std::function<void(GateScoreArgs&)> breakages[] = {
      [](GateScoreArgs& a) { a.gate.linear_k = nullptr; },
      [](GateScoreArgs& a) { a.gate.query_pools = PoolSet(); },
      [](GateScoreArgs& a) { a.gate.key_pools = PoolSet(); },
      [](GateScoreArgs& a) { a.gate.query_pools.max = true; },
      [](GateScoreArgs& a) { a.num_entry_heads = 2; },
      [](GateScoreArgs& a) { a.gate.mean_pool = true; },
      [](GateScoreArgs& a) { a.gate.linear_q = a.gate.linear_k; },
      [](GateScoreArgs& a) { a.rope.head_dim = 128; },
      [](GateScoreArgs& a) { a.logits = nullptr; },
      [](GateScoreArgs& a) { a.key_entries = nullptr; },
      [](GateScoreArgs& a) { a.pooled_queries = nullptr; },
      [](GateScoreArgs& a) { a.num_query_heads = 3; },
      [](GateScoreArgs& a) { a.num_scored_tiles = -1; },
      [](GateScoreArgs& a) { a.num_scored_tiles = 7; },
      [](GateScoreArgs& a) { a.rope.num_positions = 199; },
      [](GateScoreArgs& a) { a.logits_row_len = 3; },
      [](GateScoreArgs& a) { a.kv.num_pages = 1; },
      [&](GateScoreArgs& a) {
        a.tile_indices = descending;
        a.num_scored_tiles = 2;
      },
      [&](GateScoreArgs& a) {
        a.tile_indices = beyond;
        a.num_scored_tiles = 2;
      },
  };
  constexpr size_t kNumOfShapes = 14;
  for (size_t i = 0; i < std::size(breakages); ++i) {
    GateScoreArgs bad = good;
    breakages[i](bad);
    EXPECT_EQ(GateScore(Backend::kCpu, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
    if (i >= kNumOfShapes) continue;
    EXPECT_EQ(GateScore(Backend::kCuda, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
  }
}

}  // namespace
}  // namespace seer
