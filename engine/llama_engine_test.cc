#include "engine/llama_engine.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "engine/errors.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "tests/testing/gathered_reply.h"
#include "tests/testing/tiny_gate_set.h"
#include "tests/testing/tiny_llama.h"

namespace seer {
namespace {

TokenId Byte(char c) {
  return kTinyLlamaFirstByte + static_cast<unsigned char>(c);
}

std::vector<TokenId> RandomTokens(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = random() % kTinyLlamaVocabSize;
  return tokens;
}

GenerationRequest Greedy(int64_t prompt_len, int32_t max_tokens,
                         uint64_t seed = 1) {
  GenerationRequest request;
  request.prompt = RandomTokens(prompt_len, seed);
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

class CountingObserver : public EngineObserver {
 public:
  void OnStep(const StepReport& report) override {
    ++steps;
    if (report.prompt_tokens > 0 && report.decode_rows > 0) ++mixed_steps;
  }
  void OnCancelled(absl::Duration) override { ++cancels; }

  std::atomic<int> steps{0};
  std::atomic<int> mixed_steps{0};
  std::atomic<int> cancels{0};
};

class LlamaEngineTest : public testing::Test {
 protected:
  LlamaEngineTest() {
    options_.model_dir =
        testing::TempDir() +
        testing::UnitTest::GetInstance()->current_test_info()->name();
    mkdir(options_.model_dir.c_str(), 0700);
    options_.model_id = "tiny";
    options_.dtype = "float32";
    options_.num_threads = 1;  // the model is tiny
    options_.kv_cache_bytes = 64 << 20;
    options_.scheduler.max_step_tokens = 320;
    options_.scheduler.max_running = 64;
  }

  void Start() {
    ASSERT_TRUE(WriteTinyLlama(options_.model_dir, TinyLlamaOptions()).ok());
    auto tokenizer = Tokenizer::Load(options_.model_dir);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    auto engine = LlamaEngine::Create(options_, tokenizer_.get(), &observer_);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  GatheredReply Run(GenerationRequest request) {
    return Complete(*engine_, std::move(request));
  }

  // Waits until `condition` holds.
  template <typename Condition>
  bool Eventually(Condition condition) {
    const absl::Time deadline = absl::Now() + absl::Minutes(1);
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }
  bool PagesAreFree() {
    return Eventually([&] { return engine_->Stats().pages_used == 0; });
  }

  // The status of submitting it.
  absl::Status Refused(GenerationRequest request) {
    return engine_->Submit(std::move(request)).status();
  }

  LlamaEngineOptions options_;
  CountingObserver observer_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<LlamaEngine> engine_;
};

TEST_F(LlamaEngineTest, EventsComeInOrder) {
  Start();
  const GatheredReply reply = Run(Greedy(700, 5));
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  ASSERT_GE(reply.events.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<AcceptedEvent>(reply.events[0]));
  int64_t processed = 0;
  for (const Event& event : reply.events) {
    if (const auto* progress = std::get_if<PromptProgressEvent>(&event)) {
      EXPECT_EQ(progress->total, 700);
      EXPECT_GT(progress->processed, processed);
      processed = progress->processed;
    } else if (std::holds_alternative<DeltaEvent>(event)) {
      EXPECT_EQ(processed, 700);
    }
  }
  ASSERT_EQ(reply.choices.size(), 1u);
  EXPECT_EQ(reply.choices[0].token_ids.size(), 5u);
  ASSERT_TRUE(reply.choices[0].finish.has_value());
  EXPECT_EQ(reply.choices[0].finish->reason, FinishReason::kLength);
  EXPECT_EQ(reply.summary->prompt_tokens, 700);
  EXPECT_EQ(reply.summary->output_tokens, 5);
  EXPECT_GE(reply.summary->time_to_first_token, reply.summary->prefill_time);
  EXPECT_EQ(reply.summary->sparsity.RealizedSparsity(), 0.0);
  EXPECT_EQ(reply.summary->sparsity.tiles_computed, 11);
  EXPECT_TRUE(PagesAreFree());
  const EngineStats stats = engine_->Stats();
  EXPECT_EQ(stats.prompt_tokens_computed_total, 700);
  EXPECT_EQ(stats.output_tokens_total, 5);
  EXPECT_TRUE(stats.healthy);
}

TEST_F(LlamaEngineTest, TextIsTheTokensText) {
  Start();
  const GatheredReply reply = Run(Greedy(50, 60));
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  const auto text = tokenizer_->Decode(reply.choices[0].token_ids, true);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(reply.choices[0].text, *text);
}

TEST_F(LlamaEngineTest, ScoringAgreesWithGeneration) {
  Start();
  GenerationRequest request = Greedy(100, 30);
  request.sampling.temperature = 1;
  request.sampling.seed = 3;
  request.num_logprobs = 2;
  const GatheredReply made = Run(request);
  ASSERT_TRUE(made.status.ok()) << made.status;
  const GatheredReply::Choice& choice = made.choices[0];
  ASSERT_EQ(choice.logprobs.size(), 30u);

  GenerationRequest score;
  score.prompt = request.prompt;
  score.prompt.insert(score.prompt.end(), choice.token_ids.begin(),
                      choice.token_ids.end());
  score.num_prompt_logprobs = 2;
  const GatheredReply scored = Run(score);
  ASSERT_TRUE(scored.status.ok()) << scored.status;
  ASSERT_EQ(scored.prompt_logprobs.size(), 129u);
  for (size_t i = 0; i < 30; ++i) {
    const LogprobEntry& a = choice.logprobs[i];
    const LogprobEntry& b = scored.prompt_logprobs[99 + i];
    EXPECT_EQ(a.token.id, choice.token_ids[i]);
    EXPECT_EQ(b.token.id, choice.token_ids[i]);
    EXPECT_EQ(a.token.text, tokenizer_->TokenBytes(a.token.id));
    // Computed in other batches: equal but for the rounding of sums.
    EXPECT_NEAR(a.token.logprob, b.token.logprob, 1e-4);
    ASSERT_EQ(a.top.size(), 2u);
    EXPECT_GE(a.top[0].logprob, a.top[1].logprob);
    if (a.rank == 1) {
      EXPECT_EQ(a.top[0].id, a.token.id);
    }
  }
  EXPECT_EQ(scored.summary->output_tokens, 0);
  EXPECT_EQ(scored.choices[0].finish->reason, FinishReason::kLength);
}

TEST_F(LlamaEngineTest, ProbabilitiesSumToOne) {
  Start();
  GenerationRequest request = Greedy(10, 3);
  request.num_logprobs = kTinyLlamaVocabSize;
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  for (const LogprobEntry& entry : reply.choices[0].logprobs) {
    double sum = 0;
    for (const TokenLogprob& token : entry.top) sum += std::exp(token.logprob);
    EXPECT_NEAR(sum, 1.0, 1e-5);
  }
}

TEST_F(LlamaEngineTest, SeedsReproduce) {
  Start();
  GenerationRequest request = Greedy(100, 40);
  request.sampling.temperature = 1;
  const GatheredReply drawn = Run(request);
  ASSERT_TRUE(drawn.summary.has_value()) << drawn.status;
  request.sampling.seed = drawn.summary->seed;
  EXPECT_EQ(Run(request).choices[0].token_ids, drawn.choices[0].token_ids);
  request.sampling.seed = drawn.summary->seed + 1;
  EXPECT_NE(Run(request).choices[0].token_ids, drawn.choices[0].token_ids);
}

TEST_F(LlamaEngineTest, ChoicesShareAPromptAndDiffer) {
  Start();
  GenerationRequest request = Greedy(130, 20);
  request.sampling.temperature = 1;
  request.sampling.seed = 11;
  request.num_choices = 3;
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  ASSERT_EQ(reply.choices.size(), 3u);
  for (const auto& choice : reply.choices) {
    EXPECT_EQ(choice.token_ids.size(), 20u);
    EXPECT_TRUE(choice.finish.has_value());
  }
  EXPECT_NE(reply.choices[0].token_ids, reply.choices[1].token_ids);
  EXPECT_EQ(reply.summary->output_tokens, 60);
  EXPECT_EQ(engine_->Stats().prompt_tokens_computed_total, 130);
  // The first choice is the one that a request for one choice gives.
  request.num_choices = 1;
  EXPECT_EQ(Run(request).choices[0].token_ids, reply.choices[0].token_ids);
  EXPECT_TRUE(PagesAreFree());
}

TEST_F(LlamaEngineTest, StopsWhereAskedTo) {
  Start();
  GenerationRequest request = Greedy(10, 8);
  request.sampling.logit_bias = {{Byte('a'), 100.0f}};
  EXPECT_EQ(Run(request).choices[0].text, "aaaaaaaa");
  request.stop_strings = {"aaa"};
  GatheredReply reply = Run(request);
  EXPECT_EQ(reply.choices[0].text, "");
  EXPECT_EQ(reply.choices[0].finish->stop_string, "aaa");
  request.stop_strings.clear();
  request.stop_ids = {Byte('a')};
  reply = Run(request);
  EXPECT_EQ(reply.choices[0].text, "");
  EXPECT_EQ(reply.choices[0].finish->stop_token, Byte('a'));
  request.min_tokens = 3;  // banned until then
  reply = Run(request);
  EXPECT_EQ(reply.choices[0].token_ids.size(), 4u);
  EXPECT_EQ(reply.choices[0].token_ids[3], Byte('a'));
  EXPECT_EQ(std::count(reply.choices[0].token_ids.begin(),
                       reply.choices[0].token_ids.end(), Byte('a')),
            1);
}

TEST_F(LlamaEngineTest, EndsWithTheModelsEndToken) {
  Start();
  GenerationRequest request = Greedy(10, 8);
  request.sampling.logit_bias = {{kTinyLlamaTurnEnd, 100.0f}};
  EXPECT_EQ(Run(request).choices[0].token_ids.size(), 8u);  // ignored
  request.ignore_eos = false;
  const GatheredReply reply = Run(request);
  EXPECT_EQ(reply.choices[0].token_ids,
            std::vector<TokenId>{kTinyLlamaTurnEnd});
  EXPECT_EQ(reply.choices[0].text, "");
  EXPECT_EQ(reply.choices[0].finish->reason, FinishReason::kEndOfText);
}

TEST_F(LlamaEngineTest, MixedPoliciesTogetherAreAsAlone) {
  Start();
  std::vector<GenerationRequest> requests;
  for (const BudgetKind kind :
       {BudgetKind::kDense, BudgetKind::kTargetSparsity,
        BudgetKind::kTopKBlocks, BudgetKind::kTokenBudget,
        BudgetKind::kThreshold}) {
    GenerationRequest request = Greedy(1500, 12, requests.size());
    request.policy = MeanPoolPolicy(kind);
    requests.push_back(std::move(request));
  }
  std::vector<GatheredReply> alone;
  for (const GenerationRequest& request : requests) {
    alone.push_back(Run(request));
    ASSERT_TRUE(alone.back().summary.has_value()) << alone.back().status;
  }
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (const GenerationRequest& request : requests) {
    auto stream = engine_->Submit(request);
    ASSERT_TRUE(stream.ok()) << stream.status();
    streams.push_back(*std::move(stream));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    const GatheredReply together = Gather(*streams[i]);
    ASSERT_TRUE(together.summary.has_value()) << together.status;
    // The seeds are such that no greedy choice is a near-tie.
    EXPECT_EQ(together.choices[0].token_ids, alone[i].choices[0].token_ids);
    const SparsityReport& a = together.summary->sparsity;
    const SparsityReport& b = alone[i].summary->sparsity;
    EXPECT_EQ(a.Visible(), b.Visible());
    if (requests[i].policy->budget.kind != BudgetKind::kThreshold) {
      EXPECT_EQ(a.Selected(), b.Selected());
    }
  }
  EXPECT_GT(observer_.mixed_steps, 0);
}

TEST_F(LlamaEngineTest, SparsityIsRealizedReportedAndCounted) {
  Start();
  int64_t visible = 0;
  int64_t selected = 0;
  for (const int64_t length : {2048, 4096, 8192}) {
    GenerationRequest request = Greedy(length, 1);
    request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
    const GatheredReply reply = Run(request);
    ASSERT_TRUE(reply.summary.has_value()) << reply.status;
    const SparsityReport& report = reply.summary->sparsity;
    EXPECT_FALSE(report.closest_feasible);
    EXPECT_NEAR(report.RealizedSparsity(), 0.6, 0.005) << length;
    EXPECT_EQ(report.effective.gate, "mean_pool");
    EXPECT_EQ(report.tiles_computed, length / 64);
    ASSERT_EQ(report.layers.size(), 2u);
    visible += report.Visible();
    selected += report.Selected();
  }
  const EngineStats stats = engine_->Stats();
  int64_t counted_visible = 0;
  int64_t counted_selected = 0;
  for (const LayerBlocks& layer : stats.blocks_total) {
    counted_visible += layer.visible;
    counted_selected += layer.selected;
  }
  EXPECT_EQ(counted_visible, visible);
  EXPECT_EQ(counted_selected, selected);
  EXPECT_GT(stats.gate_time_total, absl::ZeroDuration());
}

TEST_F(LlamaEngineTest, AnInfeasibleTargetIsReported) {
  Start();
  GenerationRequest request = Greedy(1000, 1);
  request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
  request.policy->budget.target_sparsity = 0.99;
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  EXPECT_TRUE(reply.summary->sparsity.closest_feasible);
  EXPECT_LT(reply.summary->sparsity.RealizedSparsity(), 0.99);
}

TEST_F(LlamaEngineTest, CancelInMidPrefillFreesPagesWithinAStep) {
  options_.scheduler.max_step_tokens = 128;
  Start();
  auto stream = engine_->Submit(Greedy(8000, 10));
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE(Eventually([&] { return observer_.steps >= 3; }));
  EXPECT_GT(engine_->Stats().pages_used, 0);
  stream->reset();
  const int steps = observer_.steps;
  ASSERT_TRUE(PagesAreFree());
  // The step that was running, at the most.
  EXPECT_LE(observer_.steps, steps + 1);
  EXPECT_EQ(observer_.cancels, 1);
  EXPECT_LT(engine_->Stats().prompt_tokens_computed_total, 8000);
}

TEST_F(LlamaEngineTest, DeadlinesAreKept) {
  options_.scheduler.max_step_tokens = 128;
  Start();
  GenerationRequest request = Greedy(8000, 100);
  request.deadline = absl::Now() + absl::Milliseconds(30);
  const GatheredReply reply = Run(request);
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(PagesAreFree());
  request.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(Refused(request).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(LlamaEngineTest, AReaderThatNeverReadsHarmsNobody) {
  options_.event_stream.capacity_bytes = 3000;
  options_.slow_reader_timeout = absl::Milliseconds(300);
  Start();
  auto slow = engine_->Submit(Greedy(100, 5000));
  ASSERT_TRUE(slow.ok()) << slow.status();
  const GatheredReply other = Run(Greedy(500, 200));
  EXPECT_TRUE(other.summary.has_value()) << other.status;
  EXPECT_TRUE(PagesAreFree());
  const GatheredReply reply = Gather(**slow);
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ReasonOf(reply.status).has_value());
  EXPECT_EQ(ReasonOf(reply.status)->reason, "SLOW_READER");
  EXPECT_LT(engine_->Stats().output_tokens_total, 5000);
}

TEST_F(LlamaEngineTest, DrainLetsRunningRequestsFinish) {
  Start();
  auto running = engine_->Submit(Greedy(2000, 50));
  ASSERT_TRUE(running.ok());
  EXPECT_TRUE(engine_->Drain(absl::Now() + absl::Minutes(5)).ok());
  const GatheredReply reply = Gather(**running);
  EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  const absl::Status refused = Refused(Greedy(10, 1));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  EXPECT_TRUE(engine_->Stats().draining);
}

TEST_F(LlamaEngineTest, DrainEndsTheRestAtItsDeadline) {
  Start();
  auto running = engine_->Submit(Greedy(8000, 5000));
  ASSERT_TRUE(running.ok());
  EXPECT_EQ(engine_->Drain(absl::Now() + absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Gather(**running).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(PagesAreFree());
}

TEST_F(LlamaEngineTest, StreamsOutliveTheEngine) {
  Start();
  auto running = engine_->Submit(Greedy(8000, 5000));
  ASSERT_TRUE(running.ok());
  engine_.reset();
  EXPECT_EQ(Gather(**running).status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(LlamaEngineTest, RefusesWhatCanNeverRun) {
  options_.kv_cache_bytes = 1 << 20;
  Start();
  GenerationRequest request = Greedy(1, 1);
  request.prompt.clear();
  EXPECT_EQ(FieldOf(Refused(request)).value_or(""), "prompt");
  request = Greedy(20000, 1);
  absl::Status status = Refused(request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status)->reason, "CONTEXT_TOO_LONG");
  EXPECT_EQ(ReasonOf(status)->limit, 16384);
  // Inside the context, but not inside this cache.
  status = Refused(Greedy(15000, 1000));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status)->reason, "CONTEXT_TOO_LONG");
  request = Greedy(100, 1);
  request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
  request.policy->gate.reset();
  EXPECT_EQ(Refused(request).code(), absl::StatusCode::kFailedPrecondition);
  request.policy->gate = GateChoice{GateChoice::Kind::kNamed, "no/such"};
  EXPECT_EQ(Refused(request).code(), absl::StatusCode::kNotFound);
  request.policy->gate.reset();
  request.policy->budget.target_sparsity = std::nan("");
  EXPECT_EQ(FieldOf(Refused(request)).value_or(""), "sparsity.target_sparsity");
  request.policy.reset();
  request.stop_strings = {"ok", ""};
  EXPECT_EQ(FieldOf(Refused(request)).value_or(""), "stop_strings");
  EXPECT_EQ(engine_->Stats().requests_waiting, 0);
}

TEST_F(LlamaEngineTest, AFullQueueSaysWhenToComeBack) {
  options_.admission.max_waiting_requests = 2;
  options_.scheduler.max_running = 1;
  Start();
  std::vector<std::unique_ptr<TokenStream>> streams;
  absl::Status refused;
  for (int i = 0; i < 8 && refused.ok(); ++i) {
    auto stream = engine_->Submit(Greedy(4000, 100));
    refused = stream.status();
    if (stream.ok()) streams.push_back(*std::move(stream));
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  streams.clear();
  EXPECT_TRUE(PagesAreFree());
}

TEST_F(LlamaEngineTest, ManyStreamsAtOnce) {
  options_.num_threads = 2;
  Start();
  std::vector<std::thread> readers;
  std::atomic<int> done{0};
  for (int i = 0; i < 16; ++i) {
    readers.emplace_back([&, i] {
      GenerationRequest request = Greedy(100 + 37 * i, 10 + i, i);
      if (i % 2 == 1) request.policy = MeanPoolPolicy(BudgetKind::kTopKBlocks);
      const GatheredReply reply = Run(request);
      if (reply.summary.has_value() && reply.summary->output_tokens == 10 + i) {
        ++done;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(done, 16);
  EXPECT_TRUE(PagesAreFree());
}

TEST_F(LlamaEngineTest, ServesAGateSetFile) {
  Start();
  TinyGateSetOptions gate;
  gate.fingerprint = engine_->model().fingerprint;
  gate.with_profile = true;
  for (const char* design : {"Qavg_Kmaxminavg", "Qmaxmin_Kavg", "mean_pool"}) {
    engine_.reset();
    gate.design = design;
    options_.gate_set_file = options_.model_dir + "/gate.safetensors";
    ASSERT_TRUE(WriteTinyGateSet(options_.gate_set_file, gate).ok());
    options_.policy.default_policy =
        MeanPoolPolicy(BudgetKind::kTargetSparsity);
    options_.policy.default_policy.gate.reset();
    Start();
    const std::vector<GateSetInfo> sets = engine_->gate_sets();
    ASSERT_EQ(sets.size(), 2u);
    EXPECT_EQ(sets[1].design, design);
    EXPECT_TRUE(sets[1].stable);
    EXPECT_TRUE(sets[1].has_profile);
    // No policy: the default one, with the stable gate and its profile.
    const GatheredReply reply = Run(Greedy(4000, 2));
    ASSERT_TRUE(reply.summary.has_value()) << reply.status;
    const EffectivePolicy& effective = reply.summary->sparsity.effective;
    EXPECT_EQ(effective.gate, sets[1].name);
    EXPECT_EQ(effective.gate_version, sets[1].version);
    EXPECT_EQ(effective.allocation, Allocation::kProfiled);
    EXPECT_FALSE(reply.summary->sparsity.closest_feasible);
    EXPECT_NEAR(reply.summary->sparsity.RealizedSparsity(), 0.6, 0.005);
  }
}

TEST_F(LlamaEngineTest, RefusesAnotherModelsGateSet) {
  Start();
  TinyGateSetOptions gate;
  gate.fingerprint = "of another model";
  options_.gate_set_file = options_.model_dir + "/gate.safetensors";
  ASSERT_TRUE(WriteTinyGateSet(options_.gate_set_file, gate).ok());
  EXPECT_EQ(
      LlamaEngine::Create(options_, tokenizer_.get(), nullptr).status().code(),
      absl::StatusCode::kFailedPrecondition);
}

TEST_F(LlamaEngineTest, ListsItsGates) {
  Start();
  const std::vector<GateSetInfo> sets = engine_->gate_sets();
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(sets[0].name, "mean_pool");
  EXPECT_FALSE(sets[0].stable);
}

TEST_F(LlamaEngineTest, OptionsAreChecked) {
  EXPECT_TRUE(options_.Validate().ok());
  const auto invalid = [&](auto change) {
    LlamaEngineOptions options = options_;
    change(options);
    return options.Validate().code() == absl::StatusCode::kInvalidArgument;
  };
  using O = LlamaEngineOptions;
  EXPECT_TRUE(invalid([](O& o) { o.dtype = "float16"; }));
  EXPECT_TRUE(invalid([](O& o) { o.num_threads = 0; }));
  EXPECT_TRUE(invalid([](O& o) { o.kv_cache_bytes = 0; }));
  EXPECT_TRUE(invalid([](O& o) { o.policy.sink_blocks = -1; }));
  EXPECT_TRUE(invalid([](O& o) { o.scheduler.max_running = 0; }));
  EXPECT_TRUE(invalid([](O& o) { o.admission.max_waiting_requests = 0; }));
  EXPECT_TRUE(
      invalid([](O& o) { o.slow_reader_timeout = absl::ZeroDuration(); }));
}

}  // namespace
}  // namespace seer
