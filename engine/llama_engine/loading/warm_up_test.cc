#include "engine/llama_engine/loading/warm_up.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/gate/gate_set.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

constexpr int32_t kPromptLen = 1000;

class WarmUpTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    ASSERT_TRUE(WriteTinyLlama(testing::TempDir(), {}).ok());
  }

  std::unique_ptr<ModelRunner> Load(int64_t num_pages) {
    auto runner = ModelRunner::Load(testing::TempDir(), DType::kBFloat16,
                                    num_pages, GetParam());
    EXPECT_TRUE(runner.ok()) << runner.status();
    (*runner)->set_traces(false);
    return *std::move(runner);
  }

  // A sparse prompt and some generated rows, in pages not used before.
  const ModelRunner::Sequence& RunSequence(ModelRunner& runner) {
    if (mean_pool_ == nullptr) {
      mean_pool_ = BuiltinMeanPool(runner.gate_shape());
    }
    EffectivePolicy policy;
    policy.budget.kind = BudgetKind::kTopKBlocks;
    policy.budget.top_k_blocks = 3;
    const int32_t id = runner.Add(std::vector<int32_t>(kPromptLen + 5, 7),
                                  kPromptLen, policy, mean_pool_);
    const absl::Status status = runner.RunAlone(id, 320);
    EXPECT_TRUE(status.ok()) << status;
    return runner.sequence(id);
  }

  static absl::Status WarmUpAll(ModelRunner& runner) {
    WarmUpArgs args;
    args.model = &runner.model();
    args.cache = &runner.cache();
    for (const auto& [gate, state] : runner.gates()) {
      args.gates.push_back(&state);
    }
    args.max_step_tokens = 640;
    args.max_running = 20;
    return WarmUp(args);
  }

  std::shared_ptr<const GateSet> mean_pool_;
};

TEST_P(WarmUpTest, LeavesNothingThatASequenceReads) {
  std::vector<std::vector<float>> logits;
  for (const bool warms_up : {false, true}) {
    const std::unique_ptr<ModelRunner> runner = Load(40);
    RunSequence(*runner);
    ASSERT_EQ(runner->gates().size(), 1u);
    if (warms_up) {
      const absl::Status status = WarmUpAll(*runner);
      ASSERT_TRUE(status.ok()) << status;
    }
    logits.push_back(RunSequence(*runner).logits);
  }
  ASSERT_FALSE(logits[0].empty());
  EXPECT_EQ(logits[1], logits[0]);
}

TEST_P(WarmUpTest, OnePageIsEnough) {
  const std::unique_ptr<ModelRunner> runner = Load(1);
  const absl::Status status = WarmUpAll(*runner);
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(Devices, WarmUpTest, testing::ValuesIn(TestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
