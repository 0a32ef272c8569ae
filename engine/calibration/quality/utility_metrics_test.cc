#include "engine/calibration/quality/utility_metrics.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/calibration/quality/budget_profile_fit.h"
#include "engine/calibration/quality/recall_metrics.h"
#include "engine/calibration/testing/block_scores.h"
#include "engine/model/aten/aten.h"
#include "gtest/gtest.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {
namespace {

constexpr int32_t kHeads = 3;
// The second head writes ten times as much as the first.
constexpr double kWeights[kHeads] = {1.0, 10.0, 3.0};

// Of heads of which the first two attend alike.
HostScores RandomRows(int64_t n, uint64_t seed) {
  HostScores scores = RandomBlockScores(n, kHeads, seed);
  for (int64_t tile = 0; tile < n; ++tile) {
    float* const first = &scores[tile * kHeads * n];
    std::copy_n(first, tile + 1, first + n);
  }
  return scores;
}

class UtilityMetricsTest : public BlockScoresTest {
 protected:
  // A model whose heads err by the mass that they do not read, times their
  // weight, in tiles [first, last) of n.
  OutputErrors ErrorsBy(const HostScores& mass, int64_t n, int64_t first,
                        int64_t last) {
    return [this, &mass, n, first, last](const BlockSets& sets, double* sums) {
      EXPECT_EQ(sets.num_query_heads, kHeads);
      const at::Tensor bits =
          ViewOf(sets.bits, {last - first, kHeads, sets.num_words}, at::kLong,
                 *device_)
              .cpu();
      const at::Tensor counts =
          ViewOf(sets.counts, {last - first, kHeads}, at::kInt, *device_).cpu();
      const at::Tensor missing = at::empty({kHeads}, at::kDouble);
      double* const by_head = missing.mutable_data_ptr<double>();
      std::fill_n(by_head, kHeads, 0.0);
      for (int64_t row = 0; row < (last - first) * kHeads; ++row) {
        const int64_t tile = first + row / kHeads;
        if (counts.const_data_ptr<int32_t>()[row] == tile + 1) continue;
        for (int64_t j = 0; j <= tile; ++j) {
          const int64_t word =
              bits.const_data_ptr<int64_t>()[row * sets.num_words + j / 64];
          if ((word >> (j % 64)) & 1) continue;
          by_head[row % kHeads] +=
              kWeights[row % kHeads] * mass[(first * kHeads + row) * n + j];
        }
      }
      at::Tensor to = ViewOf(sums, {kHeads}, at::kDouble, *device_);
      to.add_(missing.to(AtenDevice(*device_)));
      return absl::OkStatus();
    };
  }
};

TEST_P(UtilityMetricsTest, IsWhatIsReadByWhatItIsWorth) {
  UniformBudgets budgets;
  // Forced blocks of 70 are more than the first; the last reads everything.
  budgets.densities = {0.01, 0.2, 0.5, 1.0};
  const auto metrics = UtilityMetrics::Create(budgets, kHeads, device_.get());
  const auto recall = RecallMetrics::Create(budgets, kHeads, device_.get());
  ASSERT_TRUE(metrics.ok() && recall.ok());
  EXPECT_EQ((*metrics)->Result().status().code(),
            absl::StatusCode::kFailedPrecondition);
  constexpr int64_t kTiles = 70;
  const HostScores mass = RandomRows(kTiles, 1);
  const float* const logits = OnDevice(mass);
  for (int64_t first = 0; first < kTiles; first += 9) {
    const int64_t last = std::min(kTiles, first + 9);
    UtilityRange range;
    range.tiles = {kTiles * kBlockSize - 3, first, last};
    range.logits = logits + first * kHeads * kTiles;
    range.row_len = kTiles;
    range.errors = ErrorsBy(mass, kTiles, first, last);
    const absl::Status status = (*metrics)->AddRange(range);
    ASSERT_TRUE(status.ok()) << status;
    RecallRange judged;
    judged.tiles = range.tiles;
    judged.logits = judged.target = judged.mass = range.logits;
    judged.logits_row_len = judged.row_len = kTiles;
    ASSERT_TRUE((*recall)->AddRange(judged).ok());
  }
  const auto result = (*metrics)->Result();
  const auto recalled = (*recall)->Result();
  ASSERT_TRUE(result.ok() && recalled.ok());
  ASSERT_EQ(result->full.size(), 3u);
  ASSERT_EQ(result->utility.size(), 3u * 4);
  // fp32 sums of rows of at most 70, relative to 1.
  constexpr double kRounding = kTiles * 0x1p-24;
  for (int head = 0; head < kHeads; ++head) {
    EXPECT_NEAR(result->full[head], kWeights[head] * kTiles,
                kWeights[head] * kTiles * kRounding);
    EXPECT_EQ(result->utility[head * 4 + 3], result->full[head]);
  }
  for (size_t d = 0; d < 4; ++d) {
    EXPECT_DOUBLE_EQ(result->realized_densities[d],
                     (*recalled)[d].realized_density);
    double read = 0.0;
    for (int head = 0; head < kHeads; ++head) {
      read += result->utility[head * 4 + d] / kWeights[head];
    }
    EXPECT_NEAR(read / (kHeads * kTiles), (*recalled)[d].mass_recall,
                2 * kRounding);
    EXPECT_NEAR(result->utility[4 + d], 10 * result->utility[d],
                10 * kTiles * kRounding);
  }

  UtilityCurves curves;
  curves.num_layers = 1;
  curves.num_heads = kHeads;
  curves.densities = result->realized_densities;
  curves.utility = result->utility;
  curves.full = result->full;
  const std::vector<float> targets = {0.1f, 0.3f, 0.6f};
  const auto profile = FitBudgetProfile(curves, targets);
  ASSERT_TRUE(profile.ok()) << profile.status();
  for (const float target : targets) {
    EXPECT_GT(profile->HeadDensity(0, 1, target),
              profile->HeadDensity(0, 0, target));
  }
}

// A head whose output projection has no full rank: its squared errors are zero
// but for the rounding of the products that give them, of either sign.
TEST_P(UtilityMetricsTest, RoundingBelowZeroIsNoError) {
  UniformBudgets budgets;
  budgets.densities = {0.2, 0.5};
  const auto metrics = UtilityMetrics::Create(budgets, kHeads, device_.get());
  ASSERT_TRUE(metrics.ok());
  constexpr int64_t kTiles = 10;
  const HostScores mass = RandomRows(kTiles, 2);
  const OutputErrors exact = ErrorsBy(mass, kTiles, 0, kTiles);
  constexpr int kEmptyHead = 2;
  UtilityRange range;
  range.tiles = {kTiles * kBlockSize, 0, kTiles};
  range.logits = OnDevice(mass);
  range.row_len = kTiles;
  range.errors = [&](const BlockSets& sets, double* sums) {
    const absl::Status status = exact(sets, sums);
    ViewOf(sums, {kHeads}, at::kDouble, *device_)[kEmptyHead].fill_(-0x1p-30);
    return status;
  };
  const absl::Status status = (*metrics)->AddRange(range);
  ASSERT_TRUE(status.ok()) << status;
  const auto result = (*metrics)->Result();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->full[kEmptyHead], 0.0);
  EXPECT_EQ(result->utility[kEmptyHead * 2], 0.0);
  EXPECT_GT(result->full[0], 0.0);
  UtilityCurves curves;
  curves.num_layers = 1;
  curves.num_heads = kHeads;
  curves.densities = result->realized_densities;
  curves.utility = result->utility;
  curves.full = result->full;
  const auto profile = FitBudgetProfile(curves, {0.3f});
  EXPECT_TRUE(profile.ok()) << profile.status();
}

TEST_P(UtilityMetricsTest, RefusesWhatIsOutOfRange) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  UniformBudgets budgets;
  budgets.densities = {1.5};
  EXPECT_EQ(
      UtilityMetrics::Create(budgets, kHeads, device_.get()).status().code(),
      kInvalid);
  budgets = {};
  EXPECT_EQ(UtilityMetrics::Create(budgets, 0, device_.get()).status().code(),
            kInvalid);
  const auto metrics = UtilityMetrics::Create(budgets, kHeads, device_.get());
  ASSERT_TRUE(metrics.ok());
  const absl::Status broken = absl::InternalError("the model is broken");
  UtilityRange good;
  good.tiles = {130, 0, 3};
  good.logits = OnDevice(RandomRows(3, 1));
  good.row_len = 3;
  good.errors = [&](const BlockSets&, double*) { return broken; };
  EXPECT_EQ((*metrics)->AddRange(good), broken);
  UtilityRange bad = good;
  bad.tiles.last_tile = 4;
  EXPECT_EQ((*metrics)->AddRange(bad).code(), kInvalid);
  bad = good;
  bad.row_len = 2;
  EXPECT_EQ((*metrics)->AddRange(bad).code(), kInvalid);
  bad = good;
  bad.logits = nullptr;
  EXPECT_EQ((*metrics)->AddRange(bad).code(), kInvalid);
  bad = good;
  bad.errors = nullptr;
  EXPECT_EQ((*metrics)->AddRange(bad).code(), kInvalid);
}

INSTANTIATE_TEST_SUITE_P(Devices, UtilityMetricsTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
