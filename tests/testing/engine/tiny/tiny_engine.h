// A LlamaEngine over a tiny random model, for tests of the whole engine.
#ifndef SEER_TESTS_TESTING_ENGINE_TINY_TINY_ENGINE_H_
#define SEER_TESTS_TESTING_ENGINE_TINY_TINY_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "engine/llama_engine.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {

// The tiny model's token for one byte.
TokenId ByteToken(char c);

// A greedy request of random tokens that only max_tokens ends.
GenerationRequest GreedyRequest(int64_t prompt_len, int32_t max_tokens,
                                uint64_t seed = 1);

// A policy under mean_pool; each kind has a value that skips blocks of a
// prompt of 1500 tokens: 0.6, 4 blocks, 500 tokens, 0.02.
SparsityPolicy MeanPoolPolicy(BudgetKind kind);

class CountingObserver : public EngineObserver {
 public:
  void OnStep(const StepReport& report) override {
    ++steps;
    if (report.prompt_tokens > 0 && report.decode_rows > 0) ++mixed_steps;
  }
  void OnCancelled(absl::Duration) override { ++cancels; }
  void OnMicroStep(absl::Duration, bool beside_requests) override {
    if (beside_requests) ++micro_steps_beside;
  }

  std::atomic<int> steps{0};
  std::atomic<int> mixed_steps{0};
  std::atomic<int> cancels{0};
  std::atomic<int> micro_steps_beside{0};
};

class TinyEngineTest : public testing::Test {
 protected:
  TinyEngineTest();

  // Starts the engine with what options_ says by then.
  void Start();

  GatheredReply Run(GenerationRequest request) {
    return Complete(*engine_, std::move(request));
  }
  // The status of submitting it.
  absl::Status Refused(GenerationRequest request) {
    return engine_->Submit(std::move(request)).status();
  }
  // Waits until `condition` holds; false: it does not within a minute.
  bool Eventually(absl::FunctionRef<bool()> condition);
  bool PagesAreFree() {
    return Eventually([&] { return engine_->Stats().pages_used == 0; });
  }

  LlamaEngineOptions options_;  // fp32, one thread, steps of 320 tokens
  CountingObserver observer_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<LlamaEngine> engine_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_TINY_TINY_ENGINE_H_
