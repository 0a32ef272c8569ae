// Gate logits, probabilities, block masks and row budgets against every golden
// file of a directory; outputs of attention have a test of their own beside
// it. tools/check_golden runs both on any directory.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "kernels/block_selection/row_budget.h"
#include "nlohmann/json.hpp"
#include "tests/golden_tests/gate_checks.h"
#include "tests/golden_tests/golden_layer.h"
#include "tests/testing/golden_file.h"

namespace seer {
namespace {

void PrintLeftOut(const GoldenLayer& layer, const std::string& tensor,
                  const char* lacking) {
  std::printf("%s: %s not checked without %s\n", layer.name.c_str(),
              tensor.c_str(), lacking);
}

class GateGoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<std::string> paths = GoldenPaths("attn_gate_", ".safetensors");
    for (const std::string& path : GoldenPaths("layer_", ".safetensors")) {
      paths.push_back(path);
    }
    if (paths.empty()) GTEST_SKIP() << "no layer in " << GoldenDir();
    for (const std::string& path : paths) {
      absl::StatusOr<GoldenLayer> layer = LoadGoldenLayer(path);
      ASSERT_TRUE(layer.ok()) << path << ": " << layer.status();
      layers_.push_back(*std::move(layer));
    }
  }

  std::vector<GoldenLayer> layers_;
};

TEST_F(GateGoldenTest, Logits) {
  int num_checked = 0;
  for (const GoldenLayer& layer : layers_) {
    for (const auto& [name, values] : layer.floats) {
      SCOPED_TRACE(layer.name + " " + name);
      if (absl::StartsWith(name, "gate_logits") && !layer.has_gate()) {
        PrintLeftOut(layer, name, "gate");
        continue;
      }
      if (name == "gate_logits") {
        CheckGateLogits(layer, name, "default");
      } else if (absl::StartsWith(name, "gate_logits_")) {
        const std::string scaling(absl::StripPrefix(name, "gate_logits_"));
        ASSERT_EQ(layer.scalings.count(scaling), 1u)
            << "the header has no parameters of this scaling";
        CheckGateLogits(layer, name, scaling);
      } else if (name == "mean_pool_logits") {
        CheckMeanPoolLogits(layer);
      } else {
        continue;
      }
      ++num_checked;
    }
  }
  if (num_checked == 0) GTEST_SKIP() << "no logits in " << GoldenDir();
}

TEST_F(GateGoldenTest, Probabilities) {
  int num_checked = 0;
  for (const GoldenLayer& layer : layers_) {
    SCOPED_TRACE(layer.name);
    if (layer.Floats("gate_probs") == nullptr) continue;
    if (!layer.has_gate()) {
      PrintLeftOut(layer, "gate_probs", "gate");
      continue;
    }
    CheckGateProbabilities(layer);
    ++num_checked;
  }
  if (num_checked == 0) GTEST_SKIP() << "no gate_probs in " << GoldenDir();
}

TEST_F(GateGoldenTest, Masks) {
  int num_checked = 0;
  for (const GoldenLayer& layer : layers_) {
    for (const auto& [name, mask] : layer.masks) {
      SCOPED_TRACE(layer.name + " " + name);
      if (!IsMaskName(name)) {
        PrintLeftOut(layer, name, "a name that says how it comes about");
        continue;
      }
      if (!CanCheckMasks(layer)) {
        PrintLeftOut(layer, name, "gate and gate_logits");
        continue;
      }
      CheckMask(layer, name);
      ++num_checked;
    }
  }
  if (num_checked == 0) GTEST_SKIP() << "no masks in " << GoldenDir();
}

TEST(RowBudgetGoldenTest, KCountsAndSums) {
  const std::vector<std::string> paths = GoldenPaths("row_budgets", ".json");
  if (paths.empty()) GTEST_SKIP() << "no row_budgets.json in " << GoldenDir();
  std::ifstream file(paths[0]);
  const std::string text((std::istreambuf_iterator<char>(file)),
                         std::istreambuf_iterator<char>());
  const nlohmann::json cases = nlohmann::json::parse(text);
  ASSERT_FALSE(cases.empty());
  for (const nlohmann::json& golden : cases) {
    RowBudgetShape shape;
    shape.num_tiles = golden.at("tiles").get<int64_t>();
    shape.sink_blocks = golden.at("sink_blocks").get<int32_t>();
    shape.dense_last_blocks = golden.at("dense_last_blocks").get<int32_t>();
    const double density = golden.at("density").get<double>();
    SCOPED_TRACE(testing::Message()
                 << shape.num_tiles << " tiles, density " << density);
    const RowBudget budget = SolveRowBudget(shape, density);
    EXPECT_EQ(budget.k_1024, golden.at("k_1024").get<int64_t>());
    const int64_t sum = SumRowCounts(shape, budget.k_1024);
    if (golden.contains("sum")) {
      EXPECT_EQ(sum, golden.at("sum").get<int64_t>());
    }
    if (golden.contains("realized_density")) {
      // Printed to six decimals.
      EXPECT_NEAR(
          static_cast<double>(sum) /
              static_cast<double>(shape.num_tiles * (shape.num_tiles + 1) / 2),
          golden.at("realized_density").get<double>(), 0.5000001e-6);
    }
    if (!golden.contains("counts") || golden.at("counts").is_null()) continue;
    std::vector<int64_t> counts;
    for (int64_t i = 0; i < shape.num_tiles; ++i) {
      counts.push_back(
          IsDenseTile(shape, i) ? i + 1 : RowCount(shape, i, budget.k_1024));
    }
    EXPECT_EQ(counts, golden.at("counts").get<std::vector<int64_t>>());
  }
}

}  // namespace
}  // namespace seer
