#include "engine/llama_engine/engine_loop.h"

#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/executor.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/event_stream/event_stream.h"
#include "engine/model/aten_executor.h"
#include "engine/tokenizer/stop_strings.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/split_device.h"
#include "tests/testing/engine/tiny_llama.h"
#include "tests/testing/engine/tiny_tokenizer.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

// Calls `hook` on the engine thread in the middle of a step, where rows of
// logits are read.
class HookedExecutor final : public Executor {
 public:
  int num_threads() const override { return 1; }
  void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> fn) override {
    if (hook) hook();
    for (int64_t i = 0; i < n; ++i) fn(i);
  }

  std::function<void()> hook;
};

// Rows of generated tokens that were computed.
class RowCounter final : public EngineObserver {
 public:
  void OnStep(const StepReport& report) override {
    decode_rows += report.decode_rows;
  }
  void OnCancelled(absl::Duration) override {}

  int64_t decode_rows = 0;
};

// A loop over a tiny model, fed by hand: what Submit would refuse gets in.
class EngineLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = testing::TempDir() + "engine_loop";
    mkdir(folder.c_str(), 0700);
    ASSERT_TRUE(WriteTinyLlama(folder, TinyLlamaOptions()).ok());
    const auto config = LoadModelConfig(folder);
    ASSERT_TRUE(config.ok()) << config.status();
    const auto files = WeightFiles::Open(folder, *config);
    ASSERT_TRUE(files.ok()) << files.status();
    auto model = LlamaModel::Load(*config, **files, DType::kFloat32, &device_);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    cache_ = *KvCache::Allocate({config->num_layers, config->num_kv_heads,
                                 config->head_dim, DType::kFloat32, 100},
                                &device_);
    EngineLoop::Parts parts;
    parts.model = model_.get();
    parts.cache = &cache_;
    parts.gates = &gates_;
    parts.pages = &pages_;
    parts.scheduler = &scheduler_;
    parts.admission = &admission_;
    parts.inbox = &inbox_;
    parts.executor = &hooked_;
    parts.observer = &rows_;
    parts.slow_reader_timeout = absl::Seconds(30);
    loop_ = std::make_unique<EngineLoop>(parts);
  }

  std::unique_ptr<TokenStream> Submit(std::vector<TokenId> prompt) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = 3;
    return Submit(std::move(request));
  }

  std::unique_ptr<TokenStream> Submit(GenerationRequest request) {
    RequestRun::Init init;
    init.request = std::move(request);
    init.request.sampling.seed = 1;
    init.stop_strings = *StopStrings::Make({});
    init.tokenizer = tokenizer_.get();
    init.num_layers = model_->config().num_layers;
    init.submit_time = absl::Now();
    init.place = *admission_.Enter(init.request.prompt.size());
    EventStreamEnds ends = MakeEventStream({}, [] {});
    EXPECT_TRUE(inbox_
                    .Add(std::make_unique<RequestRun>(std::move(init),
                                                      std::move(ends.outbox)))
                    .ok());
    return std::move(ends.stream);
  }

  AtenExecutor executor_{1};
  SplitDevice device_{&executor_};
  HookedExecutor hooked_;
  RowCounter rows_;
  std::unique_ptr<const Tokenizer> tokenizer_ = LoadTinyTokenizer();
  std::unique_ptr<LlamaModel> model_;
  KvCache cache_;
  std::map<const Gate*, GateState> gates_;
  PageAllocator pages_{100};
  Scheduler scheduler_{SchedulerOptions(), &pages_};
  Admission admission_{AdmissionOptions()};
  Inbox inbox_;
  std::unique_ptr<EngineLoop> loop_;
};

TEST_F(EngineLoopTest, RunsUntilStopped) {
  const auto stream = Submit({1, 2, 3});
  std::thread thread([&] { loop_->Run(); });
  const GatheredReply reply = Gather(*stream);
  EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  inbox_.Stop();
  thread.join();
  EXPECT_EQ(loop_->Stats().output_tokens_total, 3);
  EXPECT_EQ(loop_->Stats().pages_used, 0);
}

TEST_F(EngineLoopTest, AFailedStepEndsAllAndTakesNoMore) {
  // An id past the embedding.
  const auto bad = Submit({1, kTinyLlamaVocabSize + 7});
  const auto innocent = Submit({1, 2, 3});
  std::thread thread([&] { loop_->Run(); });
  EXPECT_EQ(Gather(*bad).status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Gather(*innocent).status.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(inbox_.healthy());
  EXPECT_EQ(inbox_.CheckOpen().code(), absl::StatusCode::kInternal);
  inbox_.Stop();
  thread.join();
  EXPECT_EQ(loop_->Stats().pages_used, 0);
}

TEST_F(EngineLoopTest, AFaultOfTheDeviceEndsAllAndStays) {
  int steps = 0;
  hooked_.hook = [&] {
    if (++steps == 2) device_.FailWith(absl::InternalError("CUDA: a fault"));
  };
  const auto running = Submit({1, 2, 3});
  const auto other = Submit({1, 2});
  std::thread thread([&] { loop_->Run(); });
  const GatheredReply reply = Gather(*running);
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Gather(*other).status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(steps, 2);
  // Even if the device should answer again, what it holds is not to be trusted.
  device_.FailWith(absl::OkStatus());
  EXPECT_FALSE(inbox_.healthy());
  EXPECT_EQ(inbox_.CheckOpen().code(), absl::StatusCode::kInternal);
  inbox_.Stop();
  thread.join();
  EXPECT_EQ(loop_->Stats().pages_used, 0);
}

TEST_F(EngineLoopTest, AStepWithoutMemoryOnAFailedDeviceIsAFault) {
  hooked_.hook = [&] {
    device_.FailWith(absl::InternalError("CUDA: a fault"));
    throw std::bad_alloc();
  };
  const auto unlucky = Submit({1, 2, 3});
  std::thread thread([&] { loop_->Run(); });
  EXPECT_EQ(Gather(*unlucky).status.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(inbox_.healthy());
  inbox_.Stop();
  thread.join();
}

// How many steps of a greedy request had rows of logits copied to the host, and
// what came of it.
struct GreedyRun {
  int steps_with_logits = 0;
  GatheredReply reply;
};

class GreedyTest : public EngineLoopTest {
 protected:
  void SetUp() override {
    EngineLoopTest::SetUp();
    hooked_.hook = [&] { ++steps_with_logits_; };
    thread_ = std::thread([&] { loop_->Run(); });
  }
  void TearDown() override {
    if (thread_.joinable()) Stop();
  }
  static GenerationRequest Greedy() {
    GenerationRequest request;
    request.prompt = {1, 2, 3};
    request.max_tokens = 6;
    request.num_choices = 2;
    request.sampling.temperature = 0.0;
    return request;
  }
  void Stop() {
    inbox_.Stop();
    thread_.join();
  }
  GreedyRun RunOne(GenerationRequest request) {
    steps_with_logits_ = 0;
    GreedyRun run;
    run.reply = Gather(*Submit(std::move(request)));
    run.steps_with_logits = steps_with_logits_;
    return run;
  }

 private:
  int steps_with_logits_ = 0;  // the engine thread's while a request runs
  std::thread thread_;
};

TEST_F(GreedyTest, TakesTokensThatTheDeviceFound) {
  const GreedyRun run = RunOne(Greedy());
  EXPECT_EQ(run.steps_with_logits, 0);
  ASSERT_TRUE(run.reply.summary.has_value()) << run.reply.status;
  // Who wants log-probabilities gets the same tokens from the logits.
  GenerationRequest request = Greedy();
  request.num_logprobs = 0;
  const GreedyRun with_logits = RunOne(request);
  EXPECT_EQ(with_logits.steps_with_logits, 6);
  ASSERT_EQ(run.reply.choices.size(), 2u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(run.reply.choices[i].token_ids.size(), 6u);
    EXPECT_EQ(run.reply.choices[i].token_ids,
              with_logits.reply.choices[i].token_ids);
  }
}

TEST_F(GreedyTest, ReadsLogitsWhereTheHighestIsNotEnough) {
  const std::vector<std::pair<int, std::function<void(GenerationRequest&)>>>
      cases = {
          {6, [](GenerationRequest& r) { r.sampling.temperature = 0.5; }},
          {6,
           [](GenerationRequest& r) {
             r.sampling.logit_bias = {{5, 9}};
           }},
          {6, [](GenerationRequest& r) { r.sampling.presence_penalty = 1; }},
          {6, [](GenerationRequest& r) { r.sampling.frequency_penalty = 1; }},
          {6, [](GenerationRequest& r) { r.sampling.repetition_penalty = 2; }},
          // The prompt's own step scores its other rows too.
          {1, [](GenerationRequest& r) { r.num_prompt_logprobs = 0; }},
          // Only while there are tokens that may not come yet.
          {4,
           [](GenerationRequest& r) {
             r.min_tokens = 4;
             r.stop_ids = {kTinyLlamaVocabSize - 1};
           }},
          {0, [](GenerationRequest& r) { r.min_tokens = 4; }},
          {0, [](GenerationRequest& r) { r.sampling.top_k = 3; }},
      };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    GenerationRequest request = Greedy();
    cases[i].second(request);
    const GreedyRun run = RunOne(std::move(request));
    EXPECT_TRUE(run.reply.summary.has_value()) << run.reply.status;
    EXPECT_EQ(run.steps_with_logits, cases[i].first);
  }
}

TEST_F(GreedyTest, DropsTheRowThatFollowedAnEnd) {
  GenerationRequest request = Greedy();
  request.num_choices = 1;
  request.max_tokens = 20;
  // Until a prompt leads to a token that comes late for the first time.
  std::vector<TokenId> expected;
  int64_t num_tokens = 0;
  for (TokenId seed = 1; expected.empty(); ++seed) {
    ASSERT_LT(seed, 100);
    request.prompt = {seed, seed + 1, 2 * seed};
    const GatheredReply whole = RunOne(request).reply;
    ASSERT_TRUE(whole.summary.has_value()) << whole.status;
    const std::vector<TokenId>& tokens = whole.choices[0].token_ids;
    num_tokens += static_cast<int64_t>(tokens.size());
    for (auto it = tokens.begin() + 3; it < tokens.end() - 3; ++it) {
      if (std::find(tokens.begin(), it, *it) != it) continue;
      expected.assign(tokens.begin(), it + 1);
      break;
    }
  }
  request.stop_ids = {expected.back()};
  const int64_t rows_before = num_tokens - num_tokens / 20;
  const GatheredReply stopped = RunOne(request).reply;
  ASSERT_TRUE(stopped.summary.has_value()) << stopped.status;
  EXPECT_EQ(stopped.choices[0].token_ids, expected);
  const int64_t num_kept = static_cast<int64_t>(expected.size());
  EXPECT_EQ(stopped.summary->output_tokens, num_kept);
  request.max_tokens = 1;  // no row; and the step before it is through
  EXPECT_TRUE(RunOne(request).reply.summary.has_value());
  Stop();
  // The end was seen when the next row was on its way; the length is foreseen.
  EXPECT_EQ(rows_.decode_rows, rows_before + num_kept);
  EXPECT_EQ(loop_->Stats().output_tokens_total, num_tokens + num_kept + 1);
  EXPECT_EQ(loop_->Stats().pages_used, 0);
}

TEST_F(GreedyTest, ChangesBetweenTokensOfTheDeviceAndTheHost) {
  GenerationRequest request = Greedy();
  request.num_choices = 1;
  request.max_tokens = 30;
  const auto alone = RunOne(request).reply;
  // Every now and then another's row must be read by the host.
  GenerationRequest other = request;
  other.max_tokens = 4;
  other.num_logprobs = 1;
  const auto stream = Submit(request);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(RunOne(other).reply.summary.has_value());
  }
  const GatheredReply beside = Gather(*stream);
  ASSERT_TRUE(beside.summary.has_value()) << beside.status;
  EXPECT_EQ(beside.choices[0].token_ids, alone.choices[0].token_ids);
}

TEST_F(EngineLoopTest, AStepIsSeenWhileItRuns) {
  std::optional<EngineStats> in_first_step;
  hooked_.hook = [&] {
    if (!in_first_step.has_value()) in_first_step = loop_->Stats();
  };
  const auto stream = Submit({1, 2, 3});
  std::thread thread([&] { loop_->Run(); });
  EXPECT_TRUE(Gather(*stream).summary.has_value());
  inbox_.Stop();
  thread.join();
  ASSERT_TRUE(in_first_step.has_value());
  EXPECT_EQ(in_first_step->requests_running, 1);
  EXPECT_EQ(in_first_step->pages_used, 1);
}

// What the reader of a last event finds, on the thread that pushes it.
struct AtTheEnd {
  EngineStats stats;
  int64_t backlog_tokens = -1;
};

class LastEventTest : public EngineLoopTest {
 protected:
  std::optional<AtTheEnd> RunOne(std::vector<TokenId> prompt) {
    std::optional<AtTheEnd> found;
    const auto stream = Submit(std::move(prompt));
    stream->OnReady([&] {
      for (Event event; stream->TryNext(&event);) {
        if (!IsLast(event)) continue;
        found = AtTheEnd{loop_->Stats(), admission_.load().backlog_tokens};
        inbox_.Stop();
      }
    });
    loop_->Run();
    return found;
  }
};

TEST_F(LastEventTest, FindsPagesFreeAfterASummary) {
  const auto found = RunOne({1, 2, 3});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->stats.output_tokens_total, 3);
  EXPECT_EQ(found->stats.requests_running, 0);
  EXPECT_EQ(found->stats.pages_used, 0);
  EXPECT_EQ(found->backlog_tokens, 0);
}

TEST_F(LastEventTest, FindsPagesFreeAfterAFailure) {
  const auto found = RunOne({1, kTinyLlamaVocabSize + 7});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->stats.requests_running, 0);
  EXPECT_EQ(found->stats.pages_used, 0);
  EXPECT_EQ(found->backlog_tokens, 0);
}

TEST_F(EngineLoopTest, AStepWithoutMemoryEndsItsRequestsOnly) {
  bool failed = false;
  hooked_.hook = [&] {
    if (failed) return;
    failed = true;
    throw std::bad_alloc();
  };
  const auto unlucky = Submit({1, 2, 3});
  std::thread thread([&] { loop_->Run(); });
  const absl::Status status = Gather(*unlucky).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ReasonOf(status).has_value());
  EXPECT_EQ(ReasonOf(status)->reason, "OUT_OF_MEMORY");
  EXPECT_TRUE(RetryDelayOf(status).has_value());
  EXPECT_EQ(loop_->Stats().pages_used, 0);
  EXPECT_TRUE(inbox_.healthy());
  const auto next = Submit({1, 2, 3});
  EXPECT_TRUE(Gather(*next).summary.has_value());
  inbox_.Stop();
  thread.join();
}

}  // namespace
}  // namespace seer
