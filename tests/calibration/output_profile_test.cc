// From a model's own attention to a budget profile by output error.
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/calibration/quality/budget_profile_fit.h"
#include "engine/calibration/quality/utility_metrics.h"
#include "engine/model/layer_pass/layer_pass.h"
#include "engine/model/llama_model.h"
#include "gtest/gtest.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

constexpr int32_t kLayers = 2;
constexpr int32_t kHeads = 4;
constexpr int64_t kTokens = 20 * kBlockSize - 7;

class OutputProfileTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    TinyLlamaOptions options;
    options.num_layers = kLayers;
    options.num_query_heads = kHeads;
    const std::string folder =
        testing::TempDir() + "output_profile_" + GetParam();
    mkdir(folder.c_str(), 0700);
    ASSERT_TRUE(WriteTinyLlama(folder, options).ok());
    runner_ = *ModelRunner::Load(folder, DType::kFloat32, 30, GetParam());
    for (int64_t i = 0; i < kTokens; ++i) {
      tokens_.push_back(
          static_cast<int32_t>((i * i + i / 7) % kTinyLlamaVocabSize));
    }
    // Nobody steps it: its pages are free for the pass.
    const int32_t spare = runner_->Add(tokens_, 1, {}, nullptr);
    pages_ = runner_->cache().PlanesOf(runner_->sequence(spare).pages);
  }

  // [kLayers], of gates that know the true attention.
  std::vector<HeadUtilities> Measure(const UniformBudgets& budgets,
                                     int64_t range) {
    auto pass = runner_->model().BeginLayerPass(
        tokens_, runner_->cache().AllPlanes(), pages_);
    EXPECT_TRUE(pass.ok()) << pass.status();
    std::vector<HeadUtilities> layers;
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      auto metrics =
          UtilityMetrics::Create(budgets, kHeads, &runner_->device());
      EXPECT_TRUE(metrics.ok()) << metrics.status();
      const int64_t num_tiles = (*pass)->num_tiles();
      for (int64_t first = 0; first < num_tiles; first += range) {
        UtilityRange part;
        part.tiles = {kTokens, first, std::min(num_tiles, first + range)};
        LayerRangeView view;
        EXPECT_TRUE((*pass)
                        ->Run(layer, first, part.tiles.last_tile,
                              {false, true, true}, &view)
                        .ok());
        part.logits = view.mass_target;
        part.row_len = view.row_len;
        part.errors = [&pass](const BlockSets& sets, double* sums) {
          return (*pass)->AddOutputErrors(sets, sums);
        };
        const absl::Status status = (*metrics)->AddRange(part);
        EXPECT_TRUE(status.ok()) << status;
      }
      layers.push_back((*metrics)->Result().value());
    }
    return layers;
  }

  std::unique_ptr<ModelRunner> runner_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> pages_;
};

TEST_P(OutputProfileTest, IsAProfileOfItsTargets) {
  UniformBudgets budgets;
  budgets.densities = {0.4, 0.5, 0.65, 0.8, 1.0};
  const std::vector<HeadUtilities> layers = Measure(budgets, 6);
  UtilityCurves curves;
  curves.num_layers = kLayers;
  curves.num_heads = kHeads;
  curves.densities = layers[0].realized_densities;
  for (const HeadUtilities& layer : layers) {
    EXPECT_EQ(layer.realized_densities, curves.densities);
    for (int head = 0; head < kHeads; ++head) {
      const double* const utility = &layer.utility[head * 5];
      EXPECT_GT(layer.full[head], 0.0);
      // Reading everything leaves no error.
      EXPECT_LT(utility[0], utility[4]);
      EXPECT_EQ(utility[4], layer.full[head]);
    }
    curves.utility.insert(curves.utility.end(), layer.utility.begin(),
                          layer.utility.end());
    curves.full.insert(curves.full.end(), layer.full.begin(), layer.full.end());
  }
  const std::vector<float> targets = {0.1f, 0.2f, 0.5f, 0.7f, 0.9f};
  const auto profile = FitBudgetProfile(curves, targets);
  ASSERT_TRUE(profile.ok()) << profile.status();
  for (int32_t layer = 0; layer < kLayers; ++layer) {
    for (const float target : targets) {
      double sum = 0.0;
      for (int32_t head = 0; head < kHeads; ++head) {
        sum += profile->HeadDensity(layer, head, target);
      }
      // Values are stored as floats.
      EXPECT_NEAR(sum / kHeads, target, 0x1p-24);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, OutputProfileTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
