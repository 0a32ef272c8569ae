#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "engine/errors.h"
#include "engine/llama_engine.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

using LlamaEngineLifecycleTest = TinyEngineTest;

TEST_F(LlamaEngineLifecycleTest, CancelInMidPrefillFreesPagesWithinAStep) {
  options_.scheduler.max_step_tokens = 128;
  Start();
  auto stream = engine_->Submit(GreedyRequest(8000, 10));
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE(Eventually([&] { return observer_.steps >= 3; }));
  EXPECT_GT(engine_->Stats().pages_used, 0);
  stream->reset();
  const int steps = observer_.steps;
  const int64_t computed = engine_->Stats().prompt_tokens_computed_total;
  ASSERT_TRUE(PagesAreFree());
  // The step that was running, at the most.
  EXPECT_LE(observer_.steps, steps + 1);
  EXPECT_EQ(observer_.cancels, 1);
  EXPECT_LE(engine_->Stats().prompt_tokens_computed_total, computed + 128);
  EXPECT_LT(engine_->Stats().prompt_tokens_computed_total, 8000);
}

TEST_F(LlamaEngineLifecycleTest, DeadlinesAreKept) {
  options_.scheduler.max_step_tokens = 128;
  Start();
  GenerationRequest request = GreedyRequest(8000, 100);
  request.deadline = absl::Now() + absl::Milliseconds(30);
  const GatheredReply reply = Run(request);
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(PagesAreFree());
  request.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(Refused(request).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(LlamaEngineLifecycleTest, AReaderThatNeverReadsHarmsNobody) {
  options_.event_stream.capacity_bytes = 3000;
  options_.slow_reader_timeout = absl::Milliseconds(300);
  Start();
  auto slow = engine_->Submit(GreedyRequest(100, 5000));
  ASSERT_TRUE(slow.ok()) << slow.status();
  const GatheredReply other = Run(GreedyRequest(500, 200));
  EXPECT_TRUE(other.summary.has_value()) << other.status;
  EXPECT_TRUE(PagesAreFree());
  const GatheredReply reply = Gather(**slow);
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ReasonOf(reply.status).has_value());
  EXPECT_EQ(ReasonOf(reply.status)->reason, "SLOW_READER");
  EXPECT_LT(engine_->Stats().output_tokens_total, 5000);
}

TEST_F(LlamaEngineLifecycleTest, DrainLetsRunningRequestsFinish) {
  Start();
  auto running = engine_->Submit(GreedyRequest(2000, 50));
  ASSERT_TRUE(running.ok());
  EXPECT_TRUE(engine_->Drain(absl::Now() + absl::Minutes(5)).ok());
  const GatheredReply reply = Gather(**running);
  EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  const absl::Status refused = Refused(GreedyRequest(10, 1));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  EXPECT_TRUE(engine_->Stats().draining);
}

TEST_F(LlamaEngineLifecycleTest, DrainEndsTheRestAtItsDeadline) {
  Start();
  auto running = engine_->Submit(GreedyRequest(8000, 5000));
  ASSERT_TRUE(running.ok());
  EXPECT_EQ(engine_->Drain(absl::Now() + absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Gather(**running).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(PagesAreFree());
}

TEST_F(LlamaEngineLifecycleTest, StreamsOutliveTheEngine) {
  Start();
  auto running = engine_->Submit(GreedyRequest(8000, 5000));
  ASSERT_TRUE(running.ok());
  engine_.reset();
  EXPECT_EQ(Gather(**running).status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(LlamaEngineLifecycleTest, RefusesWhatCanNeverRun) {
  options_.kv_cache_bytes = 1 << 20;
  Start();
  GenerationRequest request = GreedyRequest(1, 1);
  request.prompt.clear();
  EXPECT_EQ(FieldOf(Refused(request)).value_or(""), "prompt");
  request = GreedyRequest(20000, 1);
  absl::Status status = Refused(request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status)->reason, "CONTEXT_TOO_LONG");
  EXPECT_EQ(ReasonOf(status)->limit, 16384);
  // Inside the context, but not inside this cache.
  status = Refused(GreedyRequest(15000, 1000));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status)->reason, "CONTEXT_TOO_LONG");
  request = GreedyRequest(100, 1);
  request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
  request.policy->gate.reset();
  EXPECT_EQ(Refused(request).code(), absl::StatusCode::kFailedPrecondition);
  request.policy->gate = GateChoice{GateChoice::Kind::kNamed, "no/such"};
  EXPECT_EQ(Refused(request).code(), absl::StatusCode::kNotFound);
  request.policy->gate.reset();
  request.policy->budget.target_sparsity = std::nan("");
  EXPECT_EQ(FieldOf(Refused(request)).value_or(""),
            "policy.budget.target_sparsity");
  request.policy.reset();
  request.stop_strings = {"ok", ""};
  EXPECT_EQ(FieldOf(Refused(request)).value_or(""), "stop_strings");
  EXPECT_EQ(engine_->Stats().requests_waiting, 0);
}

TEST_F(LlamaEngineLifecycleTest, AFullQueueSaysWhenToComeBack) {
  options_.admission.max_waiting_requests = 2;
  options_.scheduler.max_running = 1;
  Start();
  std::vector<std::unique_ptr<TokenStream>> streams;
  absl::Status refused;
  for (int i = 0; i < 8 && refused.ok(); ++i) {
    auto stream = engine_->Submit(GreedyRequest(4000, 100));
    refused = stream.status();
    if (stream.ok()) streams.push_back(*std::move(stream));
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  streams.clear();
  EXPECT_TRUE(PagesAreFree());
}

TEST_F(LlamaEngineLifecycleTest, NobodyIsRefusedForWhatRunsInTheBackground) {
  options_.admission.max_backlog_tokens = 1000;
  options_.admission.max_waiting_requests = 1;
  Start();
  GenerationRequest background = GreedyRequest(8000, 0);
  background.priority = Priority::kBackground;
  const auto first = engine_->Submit(background);
  const auto second = engine_->Submit(background);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(engine_->Stats().requests_waiting, 0);
  EXPECT_EQ(engine_->Stats().waiting_tokens, 0);
  const auto client = engine_->Submit(GreedyRequest(4000, 2));
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(engine_->Stats().waiting_tokens, 4000);
  for (const auto* stream : {&first, &second, &client}) {
    const GatheredReply reply = Gather(***stream);
    EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  }
  EXPECT_EQ(engine_->Stats().waiting_tokens, 0);
}

TEST_F(LlamaEngineLifecycleTest, ManyStreamsAtOnce) {
  options_.num_threads = 2;
  Start();
  std::vector<std::thread> readers;
  std::atomic<int> done{0};
  for (int i = 0; i < 16; ++i) {
    readers.emplace_back([&, i] {
      GenerationRequest request = GreedyRequest(100 + 37 * i, 10 + i, i);
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

TEST_F(LlamaEngineLifecycleTest, OptionsAreChecked) {
  EXPECT_TRUE(options_.Validate().ok());
  const auto invalid = [&](auto change) {
    LlamaEngineOptions options = options_;
    change(options);
    return options.Validate().code() == absl::StatusCode::kInvalidArgument;
  };
  using O = LlamaEngineOptions;
  EXPECT_TRUE(invalid([](O& o) { o.dtype = "float16"; }));
  EXPECT_TRUE(invalid([](O& o) { o.model_id = ""; }));
  EXPECT_TRUE(invalid([](O& o) { o.model_id = "Llama"; }));
  EXPECT_TRUE(invalid([](O& o) { o.model_id = "a/b"; }));
  EXPECT_TRUE(invalid([](O& o) { o.model_id = std::string(64, 'a'); }));
  EXPECT_TRUE(invalid([](O& o) { o.max_step = absl::ZeroDuration(); }));
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
