// SmolLM2-135M-Instruct against numbers computed outside this project.
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "engine/llama_engine.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/golden_file.h"
#include "tests/testing/server/gathered_reply.h"

ABSL_FLAG(std::string, model_dir, "external/default_model/model",
          "Hugging Face folder of the model that the files are about.");

namespace seer {
namespace {

using Json = nlohmann::json;

std::vector<Json> GoldenFiles() {
  std::vector<Json> files;
  for (const std::string& path : GoldenPaths("smollm2_", ".json")) {
    std::ifstream file(path);
    files.push_back(Json::parse(file));
  }
  return files;
}

std::vector<TokenId> Ids(const Json& json) {
  return json.get<std::vector<TokenId>>();
}

class SmolLm2GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    files_ = GoldenFiles();
    if (files_.empty()) {
      GTEST_SKIP() << "no smollm2_*.json in " << GoldenDir();
    }
  }
  static void TearDownTestSuite() {
    engines_.clear();
    tokenizer_.reset();
  }

  // One engine a dtype, for all tests: each takes a while to load.
  static LlamaEngine& EngineOf(const std::string& dtype) {
    if (tokenizer_ == nullptr) {
      auto tokenizer = Tokenizer::Load(absl::GetFlag(FLAGS_model_dir));
      EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
      tokenizer_ = *std::move(tokenizer);
    }
    std::unique_ptr<LlamaEngine>& engine = engines_[dtype];
    if (engine == nullptr) {
      LlamaEngineOptions options;
      options.model_dir = absl::GetFlag(FLAGS_model_dir);
      options.model_id = "smollm2";
      options.dtype = dtype;
      options.num_threads = 2;
      auto created = LlamaEngine::Create(options, tokenizer_.get(), nullptr);
      EXPECT_TRUE(created.ok()) << created.status();
      engine = *std::move(created);
    }
    return *engine;
  }

  std::vector<Json> files_;

 private:
  inline static std::unique_ptr<const Tokenizer> tokenizer_;
  inline static std::map<std::string, std::unique_ptr<LlamaEngine>> engines_;
};

TEST_F(SmolLm2GoldenTest, Fingerprint) {
  LlamaEngine& engine = EngineOf("float32");
  for (const Json& file : files_) {
    EXPECT_EQ(engine.model().fingerprint,
              file["fingerprint"].get<std::string>());
  }
}

TEST_F(SmolLm2GoldenTest, TopLogitsInFloat32) {
  auto runner = ModelRunner::Load(absl::GetFlag(FLAGS_model_dir),
                                  DType::kFloat32, 400, /*num_threads=*/2);
  ASSERT_TRUE(runner.ok()) << runner.status();
  const int64_t vocab_size = (*runner)->model().config().vocab_size;
  for (const Json& file : files_) {
    for (const Json& item : file["greedy"]) {
      const std::vector<TokenId> ids = Ids(item["token_ids"]);
      const int32_t id = (*runner)->Add(ids, ids.size(), {}, nullptr);
      ASSERT_TRUE((*runner)->RunAlone(id, 512).ok());
      const float* logits =
          (*runner)->sequence(id).logits.data() + (ids.size() - 1) * vocab_size;
      const std::vector<TokenId> top = Ids(item["top8_ids"]);
      for (size_t i = 0; i < top.size(); ++i) {
        EXPECT_NEAR(logits[top[i]], item["top8_logits"][i].get<double>(), 2e-3)
            << item["text"];
      }
      double sum = 0;
      for (int64_t v = 0; v < vocab_size; ++v) {
        sum += std::exp(static_cast<double>(logits[v]) - logits[top[0]]);
      }
      EXPECT_NEAR(logits[top[0]] + std::log(sum),
                  item["logsumexp"].get<double>(), 2e-3)
          << item["text"];
    }
  }
}

TEST_F(SmolLm2GoldenTest, GreedyIdsInFloat32) {
  LlamaEngine& engine = EngineOf("float32");
  for (const Json& file : files_) {
    for (const Json& item : file["greedy"]) {
      const std::vector<TokenId> expected = Ids(item["continuation_ids"]);
      GenerationRequest request;
      request.prompt = Ids(item["token_ids"]);
      request.max_tokens = static_cast<int32_t>(expected.size());
      request.sampling.temperature = 0;
      const GatheredReply reply = Complete(engine, request);
      ASSERT_TRUE(reply.status.ok()) << reply.status;
      EXPECT_EQ(reply.choices[0].token_ids, expected) << item["text"];
    }
  }
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

TEST_F(SmolLm2GoldenTest, LikelihoodsInFloat32) {
  LlamaEngine& engine = EngineOf("float32");
  for (const Json& file : files_) {
    for (const Json& item : file["nll"]) {
      const std::vector<double> nll = Score(engine, Ids(item["token_ids"]));
      const double mean = item["mean_nll"].get<double>();
      EXPECT_NEAR(Mean(nll), mean, 1e-4 * mean) << item["name"];
      for (const auto& [position, value] : item["nll_at"].items()) {
        // Logits are good to 2e-3, and so is their distance to the sum.
        EXPECT_NEAR(nll[std::stoi(position)], value.get<double>(), 4e-3)
            << item["name"] << " " << position;
      }
    }
  }
}

TEST_F(SmolLm2GoldenTest, LikelihoodsInBFloat16) {
  LlamaEngine& engine = EngineOf("bfloat16");
  for (const Json& file : files_) {
    for (const Json& item : file["nll"]) {
      const double mean = item["mean_nll"].get<double>();
      const double ours = Mean(Score(engine, Ids(item["token_ids"])));
      EXPECT_NEAR(ours, mean, 5e-3 * mean) << item["name"];
      RecordProperty(item["name"].get<std::string>(), std::to_string(ours));
    }
  }
}

TEST_F(SmolLm2GoldenTest, SparsityIsRealizedWhereItIsFeasible) {
  LlamaEngine& engine = EngineOf("bfloat16");
  const std::vector<TokenId> text = Ids(files_[0]["nll"][0]["token_ids"]);
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

}  // namespace
}  // namespace seer
