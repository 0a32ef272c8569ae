#include "tests/testing/engine/tiny/tiny_engine.h"

#include <sys/stat.h>

#include <random>
#include <utility>

#include "absl/time/clock.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {

TokenId ByteToken(char c) {
  return kTinyLlamaFirstByte + static_cast<unsigned char>(c);
}

GenerationRequest GreedyRequest(int64_t prompt_len, int32_t max_tokens,
                                uint64_t seed) {
  std::mt19937_64 random(seed);
  GenerationRequest request;
  for (int64_t i = 0; i < prompt_len; ++i) {
    request.prompt.push_back(
        static_cast<TokenId>(random() % kTinyLlamaVocabSize));
  }
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.ignore_eos = true;
  return request;
}

SparsityPolicy MeanPoolPolicy(BudgetKind kind) {
  SparsityPolicy policy;
  policy.budget.kind = kind;
  policy.budget.target_sparsity = 0.6;
  policy.budget.top_k_blocks = 4;
  policy.budget.token_budget = 500;
  policy.budget.threshold = 0.02;
  policy.gate = GateChoice{GateChoice::Kind::kMeanPool, ""};
  return policy;
}

TinyEngineTest::TinyEngineTest() {
  const testing::TestInfo* test =
      testing::UnitTest::GetInstance()->current_test_info();
  options_.model_dir = testing::TempDir() + test->name();
  mkdir(options_.model_dir.c_str(), 0700);
  options_.model_id = "tiny";
  options_.dtype = "float32";
  options_.num_threads = 1;  // the model is tiny
  options_.kv_cache_bytes = 64 << 20;
  options_.scheduler.max_step_tokens = 320;
  options_.scheduler.max_running = 64;
}

void TinyEngineTest::Start() {
  ASSERT_TRUE(WriteTinyLlama(options_.model_dir, TinyLlamaOptions()).ok());
  auto tokenizer = Tokenizer::Load(options_.model_dir);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  tokenizer_ = *std::move(tokenizer);
  auto engine = LlamaEngine::Create(options_, tokenizer_.get(), &observer_);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
}

bool TinyEngineTest::Eventually(absl::FunctionRef<bool()> condition) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

}  // namespace seer
