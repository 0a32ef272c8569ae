// SmolLM2-135M-Instruct against numbers computed outside this project.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/llama_engine.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "kernels/ragged_batch.h"
#include "nlohmann/json.hpp"
#include "tests/golden_tests/golden_items.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/golden_file.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

using Json = nlohmann::json;

// On every device that is here.
class SmolLm2GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
  static void TearDownTestSuite() {
    engines_.clear();
    tokenizer_.reset();
  }

  // One engine a device and dtype, for all tests: each takes a while to load.
  static LlamaEngine& EngineOf(const std::string& dtype) {
    if (tokenizer_ == nullptr) {
      auto tokenizer = Tokenizer::Load(GoldenModelDir());
      EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
      tokenizer_ = *std::move(tokenizer);
    }
    std::unique_ptr<LlamaEngine>& engine = engines_[{GetParam(), dtype}];
    if (engine == nullptr) {
      LlamaEngineOptions options;
      options.model_dir = GoldenModelDir();
      options.model_id = "smollm2";
      options.dtype = dtype;
      options.device = GetParam();
      options.kv_memory_fraction = 0.2;  // there are other engines
      options.num_threads = 2;
      auto created = LlamaEngine::Create(options, tokenizer_.get(), nullptr);
      EXPECT_TRUE(created.ok()) << created.status();
      engine = *std::move(created);
    }
    return *engine;
  }

 private:
  inline static std::unique_ptr<const Tokenizer> tokenizer_;
  inline static std::map<std::pair<std::string, std::string>,
                         std::unique_ptr<LlamaEngine>>
      engines_;
};

TEST_P(SmolLm2GoldenTest, Fingerprint) {
  const std::vector<Json> fingerprints = GoldenValues("fingerprint");
  if (fingerprints.empty()) GTEST_SKIP() << "none in " << GoldenDir();
  LlamaEngine& engine = EngineOf("float32");
  for (const Json& fingerprint : fingerprints) {
    EXPECT_EQ(engine.model().fingerprint, fingerprint.get<std::string>());
  }
}

TEST_P(SmolLm2GoldenTest, TopLogitsInFloat32) {
  const std::vector<Json> items =
      GoldenItems("greedy", {"token_ids", "top8_ids", "top8_logits"});
  if (items.empty()) GTEST_SKIP() << "no logits in " << GoldenDir();
  int64_t num_pages = 0;
  for (const Json& item : items) {
    num_pages += NumBlocks(GoldenIds(item, "token_ids").size());
  }
  auto runner = ModelRunner::Load(GoldenModelDir(), DType::kFloat32, num_pages,
                                  GetParam(), /*num_threads=*/2);
  ASSERT_TRUE(runner.ok()) << runner.status();
  const int64_t vocab_size = (*runner)->model().config().vocab_size;
  for (const Json& item : items) {
    SCOPED_TRACE(GoldenName(item));
    const std::vector<TokenId> ids = GoldenIds(item, "token_ids");
    const int32_t id = (*runner)->Add(ids, ids.size(), {}, nullptr);
    ASSERT_TRUE((*runner)->RunAlone(id, 512).ok());
    const float* logits =
        (*runner)->sequence(id).logits.data() + (ids.size() - 1) * vocab_size;
    const std::vector<TokenId> top = GoldenIds(item, "top8_ids");
    ASSERT_FALSE(top.empty());
    for (size_t i = 0; i < top.size(); ++i) {
      EXPECT_NEAR(logits[top[i]], item.at("top8_logits").at(i).get<double>(),
                  2e-3);
    }
    if (!item.contains("logsumexp")) continue;
    double sum = 0;
    for (int64_t v = 0; v < vocab_size; ++v) {
      sum += std::exp(static_cast<double>(logits[v]) - logits[top[0]]);
    }
    EXPECT_NEAR(logits[top[0]] + std::log(sum),
                item.at("logsumexp").get<double>(), 2e-3);
  }
}

TEST_P(SmolLm2GoldenTest, GreedyIdsInFloat32) {
  const std::vector<Json> items =
      GoldenItems("greedy", {"token_ids", "continuation_ids"});
  if (items.empty()) GTEST_SKIP() << "no continuations in " << GoldenDir();
  LlamaEngine& engine = EngineOf("float32");
  for (const Json& item : items) {
    const std::vector<TokenId> expected = GoldenIds(item, "continuation_ids");
    GenerationRequest request;
    request.prompt = GoldenIds(item, "token_ids");
    request.max_tokens = static_cast<int32_t>(expected.size());
    request.sampling.temperature = 0;
    const GatheredReply reply = Complete(engine, request);
    ASSERT_TRUE(reply.status.ok()) << reply.status;
    EXPECT_EQ(reply.choices[0].token_ids, expected) << GoldenName(item);
  }
}

// Logits after the last of `ids`, on the CPU.
std::vector<float> LogitsAfter(const std::vector<TokenId>& ids, DType dtype) {
  auto runner = ModelRunner::Load(GoldenModelDir(), dtype,
                                  NumBlocks(static_cast<int64_t>(ids.size())),
                                  "cpu", /*num_threads=*/2);
  EXPECT_TRUE(runner.ok()) << runner.status();
  const int32_t id = (*runner)->Add(ids, ids.size(), {}, nullptr);
  EXPECT_TRUE((*runner)->RunAlone(id, 512).ok());
  const std::vector<float>& logits = (*runner)->sequence(id).logits;
  return {logits.end() - (*runner)->model().config().vocab_size, logits.end()};
}

// Whether bf16 may take `taken` for `best`, the highest in fp32: each logit may
// be off by twice what the plainest bf16 is.
testing::AssertionResult IsNearTie(const std::vector<TokenId>& ids,
                                   TokenId best, TokenId taken) {
  const std::vector<float> exact = LogitsAfter(ids, DType::kFloat32);
  const std::vector<float> plain = LogitsAfter(ids, DType::kBFloat16);
  float error = 0;
  for (size_t v = 0; v < exact.size(); ++v) {
    error = std::max(error, std::abs(plain[v] - exact[v]));
  }
  const float gap = exact[best] - exact[taken];
  return (gap <= 2 * 2 * error ? testing::AssertionSuccess()
                               : testing::AssertionFailure())
         << "after " << ids.size() << " tokens " << taken << " for " << best
         << ": logits differ by " << gap << ", bf16 by " << error;
}

TEST_P(SmolLm2GoldenTest, GreedyIdsInBFloat16ButForNearTies) {
  const std::vector<Json> items =
      GoldenItems("greedy", {"token_ids", "continuation_ids"});
  if (items.empty()) GTEST_SKIP() << "no continuations in " << GoldenDir();
  LlamaEngine& engine = EngineOf("bfloat16");
  int same = 0;
  for (const Json& item : items) {
    const std::vector<TokenId> expected = GoldenIds(item, "continuation_ids");
    GenerationRequest request;
    request.prompt = GoldenIds(item, "token_ids");
    request.max_tokens = static_cast<int32_t>(expected.size());
    request.sampling.temperature = 0;
    std::vector<TokenId> ids = request.prompt;
    const GatheredReply reply = Complete(engine, request);
    ASSERT_TRUE(reply.status.ok()) << reply.status;
    const std::vector<TokenId>& taken = reply.choices[0].token_ids;
    const size_t at = std::mismatch(expected.begin(), expected.end(),
                                    taken.begin(), taken.end())
                          .first -
                      expected.begin();
    if (at == expected.size()) {
      ++same;
      continue;
    }
    ASSERT_LT(at, taken.size()) << GoldenName(item);
    // What follows has another history.
    ids.insert(ids.end(), expected.begin(), expected.begin() + at);
    EXPECT_TRUE(IsNearTie(ids, expected[at], taken[at])) << GoldenName(item);
  }
  std::printf("%d of %d continuations are the same in bf16\n", same,
              static_cast<int>(items.size()));
}

// Negative log-likelihoods of the tokens after the first.
std::vector<double> Score(Engine& engine, const std::vector<TokenId>& ids) {
  GenerationRequest request;
  request.prompt = ids;
  request.num_prompt_logprobs = 0;
  const GatheredReply reply = Complete(engine, request);
  EXPECT_TRUE(reply.status.ok()) << reply.status;
  std::vector<double> nll;
  for (const LogprobEntry& entry : reply.prompt_logprobs) {
    nll.push_back(-entry.token.logprob);
  }
  EXPECT_EQ(nll.size(), ids.size() - 1);
  return nll;
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

TEST_P(SmolLm2GoldenTest, LikelihoodsInFloat32) {
  const std::vector<Json> items = GoldenItems("nll", {"token_ids", "mean_nll"});
  if (items.empty()) GTEST_SKIP() << "no likelihoods in " << GoldenDir();
  LlamaEngine& engine = EngineOf("float32");
  for (const Json& item : items) {
    SCOPED_TRACE(GoldenName(item));
    const std::vector<double> nll = Score(engine, GoldenIds(item, "token_ids"));
    const double mean = item.at("mean_nll").get<double>();
    EXPECT_NEAR(Mean(nll), mean, 1e-4 * mean);
    if (!item.contains("nll_at")) continue;
    for (const auto& [position, value] : item.at("nll_at").items()) {
      // Logits are good to 2e-3, and so is their distance to the sum.
      EXPECT_NEAR(nll.at(std::stoi(position)), value.get<double>(), 4e-3)
          << position;
    }
  }
}

TEST_P(SmolLm2GoldenTest, LikelihoodsInBFloat16) {
  const std::vector<Json> items = GoldenItems("nll", {"token_ids", "mean_nll"});
  if (items.empty()) GTEST_SKIP() << "no likelihoods in " << GoldenDir();
  LlamaEngine& engine = EngineOf("bfloat16");
  for (const Json& item : items) {
    const double mean = item.at("mean_nll").get<double>();
    const double ours = Mean(Score(engine, GoldenIds(item, "token_ids")));
    EXPECT_NEAR(ours, mean, 5e-3 * mean) << GoldenName(item);
    RecordProperty(item.value("name", "unnamed"), std::to_string(ours));
  }
}

TEST_P(SmolLm2GoldenTest, SparsityIsRealizedWhereItIsFeasible) {
  const std::vector<Json> items = GoldenItems("nll", {"token_ids"});
  if (items.empty()) GTEST_SKIP() << "no text in " << GoldenDir();
  LlamaEngine& engine = EngineOf("bfloat16");
  const std::vector<TokenId> text = GoldenIds(items[0], "token_ids");
  ASSERT_FALSE(text.empty());
  std::vector<TokenId> prompt;
  for (const int64_t length : {2048, 4096, 8191}) {
    while (static_cast<int64_t>(prompt.size()) < length) {
      prompt.push_back(text[prompt.size() % text.size()]);
    }
    for (const double target : {0.5, 0.8}) {
      GenerationRequest request;
      request.prompt = prompt;
      request.max_tokens = 1;
      request.policy.emplace();
      request.policy->budget.kind = BudgetKind::kTargetSparsity;
      request.policy->budget.target_sparsity = target;
      request.policy->gate = GateChoice{GateChoice::Kind::kMeanPool, ""};
      const GatheredReply reply = Complete(engine, request);
      ASSERT_TRUE(reply.summary.has_value()) << reply.status;
      const SparsityReport& report = reply.summary->sparsity;
      // Of 32 tiles, the forced and dense ones alone read 23 %.
      const bool feasible = target == 0.5 || length > 2048;
      EXPECT_EQ(report.closest_feasible, !feasible);
      if (!feasible) continue;
      EXPECT_NEAR(report.RealizedSparsity(), target, 0.005) << length;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, SmolLm2GoldenTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
