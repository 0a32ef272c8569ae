#include "engine/calibration/quality/recall_metrics.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "engine/calibration/testing/block_scores.h"
#include "gtest/gtest.h"
#include "kernels/block_selection/row_budget.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {
namespace {

constexpr int32_t kHeads = 3;

// The set of a row, by the definition of row budgets.
std::set<int64_t> PlainSet(const RowBudgetShape& shape, double density,
                           const float* scores, int64_t tile) {
  std::set<int64_t> set = {tile};
  for (int64_t j = 0; j <= tile && j < shape.sink_blocks; ++j) set.insert(j);
  const int64_t count =
      IsDenseTile(shape, tile)
          ? tile + 1
          : RowCount(shape, tile, SolveRowBudget(shape, density).k_1024);
  std::vector<int64_t> order(tile + 1);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  for (const int64_t j : order) {
    if (static_cast<int64_t>(set.size()) < count) set.insert(j);
  }
  return set;
}

class RecallMetricsTest : public BlockScoresTest {
 protected:
  // The prompt's tiles, `range` at a time.
  void Add(RecallMetrics* metrics, int64_t prompt_len, const HostScores& logits,
           const HostScores& target, const HostScores& mass, int64_t range) {
    const int64_t n = NumBlocks(prompt_len);
    const float* const pointers[] = {OnDevice(logits), OnDevice(target),
                                     OnDevice(mass)};
    for (int64_t first = 0; first < n; first += range) {
      const int64_t offset = first * kHeads * n;
      RecallRange part;
      part.tiles = {prompt_len, first, std::min(n, first + range)};
      part.logits = pointers[0] + offset;
      part.target = pointers[1] + offset;
      part.mass = pointers[2] + offset;
      part.logits_row_len = part.row_len = n;
      const absl::Status status = metrics->AddRange(part);
      ASSERT_TRUE(status.ok()) << status;
    }
  }
};

// What a density's numbers are by counting.
struct Plain {
  double mass = 0, oracle_mass = 0, selected = 0, oracle = 0, both = 0;
};

Plain CountPlainly(const UniformBudgets& budgets, double density,
                   int64_t num_tiles, const HostScores& logits,
                   const HostScores& target, const HostScores& mass) {
  RowBudgetShape shape;
  shape.num_tiles = num_tiles;
  shape.sink_blocks = budgets.sink_blocks;
  shape.dense_last_blocks = budgets.dense_last_blocks;
  Plain plain;
  for (int64_t row = 0; row < num_tiles * kHeads; ++row) {
    const int64_t tile = row / kHeads;
    const int64_t at = row * num_tiles;
    const std::set<int64_t> gate = PlainSet(shape, density, &logits[at], tile);
    const std::set<int64_t> best = PlainSet(shape, density, &target[at], tile);
    for (const int64_t j : gate) {
      plain.mass += mass[at + j];
      plain.both += static_cast<double>(best.count(j));
    }
    for (const int64_t j : best) plain.oracle_mass += mass[at + j];
    plain.selected += static_cast<double>(gate.size());
    plain.oracle += static_cast<double>(best.size());
  }
  return plain;
}

TEST_P(RecallMetricsTest, IsWhatCountingGives) {
  UniformBudgets budgets;
  auto made = RecallMetrics::Create(budgets, kHeads, device_.get());
  ASSERT_TRUE(made.ok()) << made.status();
  RecallMetrics& metrics = **made;
  EXPECT_EQ(metrics.Result().status().code(),
            absl::StatusCode::kFailedPrecondition);
  // Past a word of 64 blocks, and short; ragged and not.
  const std::vector<int64_t> lens = {70 * 64 + 5, 12 * 64};
  std::vector<std::vector<HostScores>> prompts;
  for (size_t p = 0; p < lens.size(); ++p) {
    const int64_t n = NumBlocks(lens[p]);
    prompts.push_back({RandomBlockScores(n, kHeads, 3 * p + 1),
                       RandomBlockScores(n, kHeads, 3 * p + 2),
                       RandomBlockScores(n, kHeads, 3 * p + 3)});
    Add(&metrics, lens[p], prompts[p][0], prompts[p][1], prompts[p][2], 9);
  }
  const auto results = metrics.Result();
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), budgets.densities.size());
  for (size_t d = 0; d < results->size(); ++d) {
    Plain sum;
    double num_tiles = 0;
    double num_visible = 0;
    for (size_t p = 0; p < lens.size(); ++p) {
      const int64_t n = NumBlocks(lens[p]);
      const Plain plain =
          CountPlainly(budgets, budgets.densities[d], n, prompts[p][0],
                       prompts[p][1], prompts[p][2]);
      sum.mass += plain.mass;
      sum.oracle_mass += plain.oracle_mass;
      sum.selected += plain.selected;
      sum.oracle += plain.oracle;
      sum.both += plain.both;
      num_tiles += static_cast<double>(n);
      num_visible += static_cast<double>(n * (n + 1) / 2 * kHeads);
    }
    const DensityRecall& result = (*results)[d];
    // fp32 sums of a row of at most 71.
    constexpr double kRounding = 71 * 0x1p-24;
    EXPECT_EQ(result.density, budgets.densities[d]);
    EXPECT_DOUBLE_EQ(result.realized_density, sum.selected / num_visible);
    EXPECT_NEAR(result.mass_recall, sum.mass / (num_tiles * kHeads), kRounding);
    EXPECT_NEAR(result.oracle_mass_recall,
                sum.oracle_mass / (num_tiles * kHeads), kRounding);
    EXPECT_DOUBLE_EQ(result.block_recall, sum.both / sum.oracle);
  }
}

TEST_P(RecallMetricsTest, AnOracleRecallsAll) {
  UniformBudgets budgets;
  budgets.densities = {0.3, 1.0};
  auto metrics = RecallMetrics::Create(budgets, kHeads, device_.get());
  ASSERT_TRUE(metrics.ok());
  const HostScores mass = RandomBlockScores(40, kHeads, 1);
  Add(metrics->get(), 40 * 64, mass, mass, mass, 40);
  const auto results = (*metrics)->Result();
  ASSERT_TRUE(results.ok());
  for (const DensityRecall& result : *results) {
    EXPECT_EQ(result.block_recall, 1.0);
    EXPECT_EQ(result.mass_recall, result.oracle_mass_recall);
    EXPECT_NEAR(result.realized_density, result.density, 0.002);
  }
  EXPECT_LT((*results)[0].mass_recall, 1.0);
  EXPECT_NEAR((*results)[1].mass_recall, 1.0, 40 * 0x1p-24);
}

TEST_P(RecallMetricsTest, RefusesOptionsAndRanges) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const auto create = [&](const UniformBudgets& budgets) {
    return RecallMetrics::Create(budgets, kHeads, device_.get())
        .status()
        .code();
  };
  UniformBudgets budgets;
  budgets.densities = {0.0};
  EXPECT_EQ(create(budgets), kInvalid);
  budgets = {};
  budgets.sink_blocks = 17;
  EXPECT_EQ(create(budgets), kInvalid);
  budgets = {};
  auto metrics = RecallMetrics::Create(budgets, kHeads, device_.get());
  ASSERT_TRUE(metrics.ok());
  RecallRange range;
  range.tiles = {65, 0, 2};
  range.logits_row_len = range.row_len = 2;
  EXPECT_EQ((*metrics)->AddRange(range).code(), kInvalid) << "no pointers";
  range.logits = range.target = range.mass =
      OnDevice(RandomBlockScores(3, kHeads, 1));
  range.row_len = 1;
  EXPECT_EQ((*metrics)->AddRange(range).code(), kInvalid);
  range.row_len = 2;
  range.tiles.last_tile = 3;
  EXPECT_EQ((*metrics)->AddRange(range).code(), kInvalid);
}

INSTANTIATE_TEST_SUITE_P(Devices, RecallMetricsTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
