// The real server over TCP: many streams, cancels, slow clients, and numbers
// that must agree wherever they are told.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace seer {
namespace {

v1::CompleteRequest Request(int prompt_len, int max_tokens) {
  v1::CompleteRequest request;
  for (int i = 0; i < prompt_len; ++i) {
    request.mutable_token_ids()->add_ids(kTinyLlamaFirstByte +
                                         (i * 31 + i / 64) % 256);
  }
  request.set_max_tokens(max_tokens);
  request.set_ignore_eos(true);
  request.mutable_sampling()->set_temperature(0);
  return request;
}

// The i-th of a handful of different policies.
void SetPolicy(int i, v1::CompleteRequest& request) {
  v1::SparsityPolicy& policy = *request.mutable_sparsity();
  policy.set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
  switch (i % 6) {
    case 0:
      policy.mutable_dense();
      return;
    case 1:
      policy.set_target_sparsity(0.5);
      return;
    case 2:
      policy.set_target_sparsity(0.8);
      return;
    case 3:
      policy.set_top_k_blocks(4);
      return;
    case 4:
      policy.set_token_budget(512);
      return;
    case 5:
      policy.set_threshold(0.05);
      return;
  }
}

struct Outcome {
  grpc::Status status;
  int tokens = 0;
  v1::Summary summary;
};

Outcome Complete(v1::CompletionService::Stub& stub,
                 const v1::CompleteRequest& request) {
  grpc::ClientContext context;
  // One of many connections made at once may fail at first.
  context.set_wait_for_ready(true);
  Outcome outcome;
  auto reader = stub.Complete(&context, request);
  for (v1::CompleteResponse frame; reader->Read(&frame);) {
    outcome.tokens += frame.delta().token_ids_size();
    if (frame.has_summary()) outcome.summary = frame.summary();
  }
  outcome.status = reader->Finish();
  return outcome;
}

// The counters below are the engine's: they would hold what the quality guard
// has computed again.
constexpr char kNoGuard[] = "--quality_guard_fraction=0";

// Visible, then selected.
std::pair<double, double> BlockCounters(const ServerProcess& server) {
  return {server.Metric("seer_attention_blocks_visible_total{"),
          server.Metric("seer_attention_blocks_selected_total{")};
}

TEST(StreamsTest, ManyStreamsWithMixedPoliciesAddUpInTheCounters) {
  constexpr int kStreams = 64;
  ServerProcess server(NewModel(), {kNoGuard});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  const auto before = BlockCounters(server);
  std::vector<Outcome> outcomes(kStreams);
  std::vector<std::thread> threads;
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      auto stub = v1::CompletionService::NewStub(server.NewChannel());
      v1::CompleteRequest request = Request(1 + i * 37, 5 + i % 7);
      SetPolicy(i, request);
      outcomes[i] = Complete(*stub, request);
    });
  }
  for (std::thread& thread : threads) thread.join();
  double visible = 0, selected = 0;
  for (int i = 0; i < kStreams; ++i) {
    const Outcome& outcome = outcomes[i];
    ASSERT_TRUE(outcome.status.ok()) << i << outcome.status.error_message();
    EXPECT_EQ(outcome.tokens, 5 + i % 7);
    const v1::SparsityReport& report = outcome.summary.sparsity();
    EXPECT_EQ(report.tiles_computed(), i * 37 / 64 + 1);
    EXPECT_EQ(report.realized_sparsity(),
              1.0 - static_cast<double>(report.blocks_selected()) /
                        report.blocks_visible());
    if (i % 6 == 0) {
      EXPECT_EQ(report.realized_sparsity(), 0.0);
    }
    visible += report.blocks_visible();
    selected += report.blocks_selected();
  }
  const auto after = BlockCounters(server);
  EXPECT_EQ(after.first - before.first, visible);
  EXPECT_EQ(after.second - before.second, selected);
  EXPECT_LT(selected, visible);
  EXPECT_TRUE(server.PagesAreFree());
  EXPECT_TRUE(
      server.MetricBecomes("seer_requests_total{model=\"tiny\",code=\"OK\","
                           "finish_reason=\"length\",method=\"complete\"}",
                           kStreams));
}

// Whether forced blocks (the diagonal, one sink) and the two dense tiles at the
// end leave room for the target.
bool IsFeasible(int prompt_len, double target) {
  const int num_tiles = (prompt_len + 63) / 64;
  int forced = 0, visible = 0;
  for (int i = 0; i < num_tiles; ++i) {
    visible += i + 1;
    forced += i + 2 >= num_tiles ? i + 1 : std::min(i + 1, 2);
  }
  return forced <= (1 - target) * visible;
}

TEST(StreamsTest, RealizedSparsityMeetsTheTargetInReplyAndCounters) {
  TinyLlamaOptions model;
  model.num_layers = 1;
  ServerProcess server(NewModel(model), {kNoGuard});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  for (const int prompt_len : {2048, 4096, 8192}) {
    for (const double target : {0.5, 0.8}) {
      const auto before = BlockCounters(server);
      v1::CompleteRequest request = Request(prompt_len, 1);
      request.mutable_sparsity()->set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
      request.mutable_sparsity()->set_target_sparsity(target);
      const Outcome outcome = Complete(server.stub(), request);
      ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
      const v1::SparsityReport& report = outcome.summary.sparsity();
      EXPECT_EQ(report.closest_feasible(), !IsFeasible(prompt_len, target));
      if (IsFeasible(prompt_len, target)) {
        EXPECT_NEAR(report.realized_sparsity(), target, 0.005) << prompt_len;
      }
      const auto after = BlockCounters(server);
      EXPECT_EQ(
          report.realized_sparsity(),
          1.0 - (after.second - before.second) / (after.first - before.first));
    }
  }
}

TEST(StreamsTest, ACancelInMidPrefillFreesThePages) {
  constexpr int kPromptLen = 16000;
  ServerProcess server(NewModel(),
                       {"--max_step_tokens=128", "--max_running=16"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  grpc::ClientContext context;
  auto reader = server.stub().Complete(&context, Request(kPromptLen, 1));
  v1::CompleteResponse frame;
  do {
    ASSERT_TRUE(reader->Read(&frame));
  } while (frame.prompt_progress().processed() == 0);
  EXPECT_LT(frame.prompt_progress().processed(), kPromptLen);
  EXPECT_GT(server.GetLoad().kv_pages_used(), 0);
  context.TryCancel();
  EXPECT_TRUE(server.PagesAreFree());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // It stopped on the way, and for good.
  const std::string computed =
      "seer_tokens_total{model=\"tiny\",kind=\"prompt_computed\"}";
  const double stopped_at = server.Metric(computed);
  EXPECT_LT(stopped_at, kPromptLen);
  EXPECT_EQ(server.Metric("seer_cancel_to_free_seconds_count"), 1);
  EXPECT_TRUE(Complete(server.stub(), Request(10, 3)).status.ok());
  EXPECT_EQ(server.Metric(computed), stopped_at + 10);
}

TEST(StreamsTest, AClientThatNeverReadsIsEndedAndDisturbsNobody) {
  ServerProcess server(NewModel(), {"--slow_reader_seconds=1"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  auto sleeper_stub = v1::CompletionService::NewStub(server.NewChannel());
  grpc::ClientContext sleeper_context;
  v1::CompleteRequest request = Request(100, 4000);
  request.set_logprobs(20);
  request.mutable_sampling()->set_n(8);
  auto sleeper = sleeper_stub->Complete(&sleeper_context, request);
  // Others are served meanwhile, and after.
  int served = 0;
  const absl::Time give_up = absl::Now() + absl::Seconds(120);
  const std::string slow =
      "seer_cancellations_total{model=\"tiny\",reason=\"slow_reader\"}";
  while (server.Metric(slow) < 1 && absl::Now() < give_up) {
    const Outcome outcome = Complete(server.stub(), Request(70, 3));
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    ++served;
  }
  EXPECT_EQ(server.Metric(slow), 1);
  EXPECT_GT(served, 0);
  EXPECT_TRUE(server.PagesAreFree());
  // It learns why if the end can still reach it; see docs/errors.md.
  int tokens = 0;
  for (v1::CompleteResponse frame; sleeper->Read(&frame);) {
    tokens += frame.delta().token_ids_size();
  }
  EXPECT_LT(tokens, 8 * 4000);
  const grpc::StatusCode code = sleeper->Finish().error_code();
  EXPECT_TRUE(code == grpc::StatusCode::RESOURCE_EXHAUSTED ||
              code == grpc::StatusCode::CANCELLED)
      << code;
}

TEST(StreamsTest, ADeadlineEndsARequestAndFreesItsPages) {
  ServerProcess server(NewModel(),
                       {"--max_step_tokens=128", "--max_running=16"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  grpc::ClientContext context;
  context.set_deadline(
      absl::ToChronoTime(absl::Now() + absl::Milliseconds(300)));
  auto reader = server.stub().Complete(&context, Request(8000, 8000));
  v1::CompleteResponse frame;
  while (reader->Read(&frame)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(server.PagesAreFree());
}

}  // namespace
}  // namespace seer
