// The engine on every device that is here: what differs there from the CPU.
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/llama_engine.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

class LlamaEngineDeviceTest : public TinyEngineTest,
                              public testing::WithParamInterface<std::string> {
 protected:
  LlamaEngineDeviceTest() {
    options_.model_dir = testing::TempDir() + "engine_on_" + GetParam();
    mkdir(options_.model_dir.c_str(), 0700);
    options_.device = GetParam();
    options_.kv_memory_fraction = 0.2;
  }
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
};

TEST_P(LlamaEngineDeviceTest, SaysWhereItIsAndWhatItTakes) {
  Start();
  EXPECT_EQ(engine_->model().device,
            GetParam() == "cuda" ? "cuda:0" : GetParam());
  const EngineStats stats = engine_->Stats();
  EXPECT_GT(stats.weight_bytes, 0);
  EXPECT_GT(stats.kv_cache_bytes, 0);
  EXPECT_GT(stats.gate_bytes, 0);
  EXPECT_EQ(stats.step_bytes > 0, GetParam() == "cuda");
}

TEST_P(LlamaEngineDeviceTest, ServesRequestsOfEveryPolicySideBySide) {
  Start();
  std::vector<GenerationRequest> requests;
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (const BudgetKind kind :
       {BudgetKind::kDense, BudgetKind::kTargetSparsity,
        BudgetKind::kTopKBlocks, BudgetKind::kThreshold}) {
    GenerationRequest request = GreedyRequest(1300, 20, streams.size());
    if (kind != BudgetKind::kDense) {
      request.policy = MeanPoolPolicy(kind);
      request.policy->budget.threshold = 0.06;  // above the mean of 21 blocks
    }
    requests.push_back(request);
    auto stream = engine_->Submit(request);
    ASSERT_TRUE(stream.ok()) << stream.status();
    streams.push_back(*std::move(stream));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    const GatheredReply reply = Gather(*streams[i]);
    ASSERT_TRUE(reply.summary.has_value()) << reply.status;
    EXPECT_EQ(reply.choices[0].token_ids.size(), 20u);
    const SparsityReport& report = reply.summary->sparsity;
    EXPECT_EQ(report.RealizedSparsity() > 0, i > 0) << i;
    // Counted, not planned: alone it is the same.
    const GatheredReply alone = Run(requests[i]);
    ASSERT_TRUE(alone.summary.has_value()) << alone.status;
    if (requests[i].policy.has_value() &&
        requests[i].policy->budget.kind == BudgetKind::kThreshold) {
      continue;  // a count that hangs on the last bit of a probability
    }
    EXPECT_EQ(alone.summary->sparsity.RealizedSparsity(),
              report.RealizedSparsity());
  }
  EXPECT_TRUE(PagesAreFree());
}

TEST_P(LlamaEngineDeviceTest, ChoicesThatSharedAPagePartWays) {
  Start();
  // The prompt ends inside a page, which each choice goes on in.
  GenerationRequest request = GreedyRequest(100, 40);
  const GatheredReply one = Run(request);
  request.num_choices = 3;
  const GatheredReply three = Run(request);
  ASSERT_TRUE(three.summary.has_value()) << three.status;
  for (const auto& choice : three.choices) {
    EXPECT_EQ(choice.token_ids, one.choices[0].token_ids);
  }
}

TEST_P(LlamaEngineDeviceTest, ScoresAPrompt) {
  Start();
  GenerationRequest request = GreedyRequest(900, 0);
  request.num_prompt_logprobs = 0;
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  EXPECT_EQ(reply.prompt_logprobs.size(), 899u);
}

TEST_P(LlamaEngineDeviceTest, DummyWeightsNeedNoFile) {
  Start();
  engine_.reset();
  ASSERT_EQ(std::remove((options_.model_dir + "/model.safetensors").c_str()),
            0);
  EXPECT_FALSE(LlamaEngine::Create(options_, tokenizer_.get(), nullptr).ok());
  options_.load_format = "dummy";
  options_.dtype = "bfloat16";
  auto engine = LlamaEngine::Create(options_, tokenizer_.get(), nullptr);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
  const GatheredReply reply = Run(GreedyRequest(200, 10));
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  EXPECT_EQ(reply.choices[0].token_ids.size(), 10u);
  EXPECT_FALSE(engine_->model().fingerprint.empty());
}

TEST_P(LlamaEngineDeviceTest, TooMuchForPagesIsAnError) {
  if (GetParam() == "cpu") GTEST_SKIP() << "its memory is the host's";
  Start();
  engine_.reset();
  options_.kv_memory_fraction = 0.99999;
  const absl::Status status =
      LlamaEngine::Create(options_, tokenizer_.get(), nullptr).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

INSTANTIATE_TEST_SUITE_P(Devices, LlamaEngineDeviceTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
