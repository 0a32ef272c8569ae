// How streams live and end: cancels, deadlines, clients that do not read, many
// at once, draining.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/testing/server/in_process_server.h"

namespace seer {
namespace {

v1::CompleteRequest Request(int max_tokens) {
  v1::CompleteRequest request;
  request.set_text("hello");
  request.set_max_tokens(max_tokens);
  return request;
}

// Admits, and then says nothing.
absl::StatusOr<FakeReply> Silence(const GenerationRequest&) {
  return FakeReply{{AcceptedEvent{}}, absl::ZeroDuration()};
}

// Waits until `text` is among the server's metrics.
bool WaitForMetric(const InProcessServer& server, const std::string& text) {
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  while (absl::Now() < give_up) {
    if (absl::StrContains(server.MetricsText(), text)) return true;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return false;
}

std::string Cancellation(const char* reason) {
  return absl::StrCat("seer_cancellations_total{model=\"fake\",reason=\"",
                      reason, "\"} 1\n");
}

TEST(CompletionStreamTest, ACancelReachesTheEngineWithoutAnyWrite) {
  InProcessServer::Options options;
  options.script = Silence;
  InProcessServer server(options);
  grpc::ClientContext context;
  auto reader = server.stub().Complete(&context, Request(5));
  v1::CompleteResponse frame;
  ASSERT_TRUE(reader->Read(&frame));
  EXPECT_EQ(server.engine().Stats().requests_running, 1);
  context.TryCancel();
  EXPECT_TRUE(server.engine().WaitForCancelled(1));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(WaitForMetric(server, Cancellation("client")));
}

TEST(CompletionStreamTest, AClientThatVanishesIsACancel) {
  InProcessServer::Options options;
  options.script = Silence;
  InProcessServer server(options);
  {
    grpc::ClientContext context;
    auto stub = v1::CompletionService::NewStub(server.NewChannel());
    auto reader = stub->Complete(&context, Request(5));
    v1::CompleteResponse frame;
    ASSERT_TRUE(reader->Read(&frame));
    context.TryCancel();
    reader->Finish();
  }
  EXPECT_TRUE(server.engine().WaitForCancelled(1));
}

TEST(CompletionStreamTest, TheDeadlineEndsTheStream) {
  InProcessServer::Options options;
  options.script = Silence;
  InProcessServer server(options);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(1)));
  auto reader = server.stub().Complete(&context, Request(5));
  v1::CompleteResponse frame;
  while (reader->Read(&frame)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(WaitForMetric(server, Cancellation("deadline")));
  EXPECT_EQ(server.engine().Stats().requests_running, 0);
  // The engine was told when to give up.
  EXPECT_LT(server.engine().requests()[0].deadline, absl::InfiniteFuture());
}

TEST(CompletionStreamTest, UnaryCallsAreCancelledToo) {
  InProcessServer::Options options;
  options.script = Silence;
  InProcessServer server(options);
  grpc::ClientContext context;
  std::thread canceller([&] {
    EXPECT_TRUE(server.engine().WaitForRequests(1));
    context.TryCancel();
  });
  v1::CompleteResult result;
  EXPECT_EQ(
      server.stub().CompleteOnce(&context, Request(5), &result).error_code(),
      grpc::StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(server.engine().WaitForCancelled(1));
}

// More than any window of flow control holds.
FakeReply Flood(const GenerationRequest&) {
  FakeReply reply;
  reply.events.push_back(AcceptedEvent{});
  DeltaEvent delta;
  delta.text = std::string(64 << 10, 'x');
  delta.token_ids = {1};
  for (int i = 0; i < 1000; ++i) reply.events.push_back(delta);
  reply.events.push_back(FinishEvent{});
  reply.events.push_back(SummaryEvent{});
  return reply;
}

TEST(CompletionStreamTest, AClientThatNeverReadsDisturbsNobody) {
  InProcessServer::Options options;
  options.script = [](const GenerationRequest& request) {
    return request.max_tokens == 77 ? Flood(request)
                                    : EchoReply(request, FakeModelInfo());
  };
  options.service.max_write_stall = absl::Milliseconds(200);
  InProcessServer server(options);
  grpc::ClientContext sleeper_context;
  auto sleeper_stub = v1::CompletionService::NewStub(server.NewChannel());
  auto sleeper = sleeper_stub->Complete(&sleeper_context, Request(77));
  ASSERT_TRUE(server.engine().WaitForRequests(1));
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    v1::CompleteResult result;
    EXPECT_TRUE(server.stub().CompleteOnce(&context, Request(3), &result).ok());
  }
  // And is ended in time, its stream destroyed.
  EXPECT_TRUE(WaitForMetric(server, Cancellation("slow_reader")));
  v1::CompleteResponse frame;
  while (sleeper->Read(&frame)) {
  }
  EXPECT_FALSE(sleeper->Finish().ok());
}

TEST(CompletionStreamTest, ASlowReaderGetsEverythingOrTheReason) {
  InProcessServer::Options options;
  options.engine.max_unread_events = 100;
  options.script = [](const GenerationRequest& request) {
    return Flood(request);
  };
  InProcessServer server(options);
  grpc::ClientContext context;
  auto reader = server.stub().Complete(&context, Request(3));
  ASSERT_TRUE(server.engine().WaitForRequests(1));
  // The engine has given up on the reader by the time it wakes.
  while (server.engine().Stats().requests_running > 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  v1::CompleteResponse frame;
  while (reader->Read(&frame)) {
  }
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(absl::StrContains(status.error_details(), "SLOW_READER"));
}

TEST(CompletionStreamTest, ManyStreamsAtOnce) {
  constexpr int kStreams = 64;
  InProcessServer::Options options;
  options.script = [](const GenerationRequest& request) {
    FakeReply reply = EchoReply(request, FakeModelInfo());
    reply.interval = absl::Microseconds(50);
    return reply;
  };
  InProcessServer server(options);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      auto stub = v1::CompletionService::NewStub(server.NewChannel());
      grpc::ClientContext context;
      v1::CompleteRequest request = Request(20 + i);
      request.mutable_sparsity()->set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
      if (i % 4 == 0) request.mutable_sparsity()->mutable_dense();
      if (i % 4 == 1) request.mutable_sparsity()->set_target_sparsity(0.5);
      if (i % 4 == 2) request.mutable_sparsity()->set_top_k_blocks(i);
      if (i % 4 == 3) request.mutable_sparsity()->set_threshold(0.1);
      auto reader = stub->Complete(&context, request);
      int tokens = 0, summaries = 0;
      for (v1::CompleteResponse frame; reader->Read(&frame);) {
        tokens += frame.delta().token_ids_size();
        summaries += frame.has_summary();
        // Some go away in the middle.
        if (i % 8 == 7 && tokens == 10) context.TryCancel();
      }
      const grpc::Status status = reader->Finish();
      good += i % 8 == 7 ? status.error_code() == grpc::StatusCode::CANCELLED
                         : status.ok() && tokens == 20 + i && summaries == 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kStreams);
  EXPECT_TRUE(server.engine().WaitForRequests(kStreams));
}

TEST(CompletionStreamTest, CancelsRaceWithEverything) {
  // The moment of the cancel moves through the whole life of a request.
  InProcessServer::Options options;
  options.script = [](const GenerationRequest& request) {
    FakeReply reply = EchoReply(request, FakeModelInfo());
    reply.interval = absl::Microseconds(20);
    return reply;
  };
  options.service.inline_text_bytes = 0;  // every prompt goes to a worker
  InProcessServer server(options);
  for (int i = 0; i < 300; ++i) {
    grpc::ClientContext context;
    auto reader = server.stub().Complete(&context, Request(20));
    std::thread canceller([&] {
      absl::SleepFor(absl::Microseconds(10 * i));
      context.TryCancel();
    });
    v1::CompleteResponse frame;
    while (reader->Read(&frame)) {
    }
    const grpc::StatusCode code = reader->Finish().error_code();
    EXPECT_TRUE(code == grpc::StatusCode::OK ||
                code == grpc::StatusCode::CANCELLED)
        << code;
    canceller.join();
  }
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  while (server.engine().Stats().requests_running > 0 &&
         absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(server.engine().Stats().requests_running, 0);
  grpc::ClientContext context;
  v1::CompleteResult result;
  EXPECT_TRUE(server.stub().CompleteOnce(&context, Request(3), &result).ok());
}

TEST(CompletionStreamTest, DrainingFinishesWhatRunsAndRefusesTheRest) {
  InProcessServer::Options options;
  options.script = Silence;
  InProcessServer server(options);
  grpc::ClientContext running;
  auto reader = server.stub().Complete(&running, Request(5));
  v1::CompleteResponse frame;
  ASSERT_TRUE(reader->Read(&frame));
  std::thread drain([&] {
    EXPECT_TRUE(server.engine().Drain(absl::Now() + absl::Seconds(30)).ok());
  });
  while (!server.engine().Stats().draining) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  grpc::ClientContext late, load_context;
  v1::CompleteResult result;
  EXPECT_EQ(server.stub().CompleteOnce(&late, Request(5), &result).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  v1::Load load;
  ASSERT_TRUE(
      server.stub().GetLoad(&load_context, v1::GetLoadRequest(), &load).ok());
  EXPECT_FALSE(load.accepting());
  const std::string id = server.engine().requests()[0].request_id;
  EXPECT_TRUE(server.engine().Push(id, SummaryEvent{}));
  drain.join();
  while (reader->Read(&frame)) {
  }
  EXPECT_TRUE(frame.has_summary());
  EXPECT_TRUE(reader->Finish().ok());
}

TEST(CompletionStreamTest, LongTextsBeyondTheBoundAreRefusedWithADelay) {
  InProcessServer::Options options;
  options.service.inline_text_bytes = 0;
  options.service.max_waiting_texts = 1;
  std::atomic<bool> release{false};
  std::atomic<int> submitted{0};
  options.script = [&](const GenerationRequest& request) {
    ++submitted;
    while (!release) absl::SleepFor(absl::Milliseconds(1));
    return EchoReply(request, FakeModelInfo());
  };
  InProcessServer server(options);
  std::atomic<int> ok{0}, refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    // The first is with the worker before any other comes.
    while (i == 1 && submitted == 0) absl::SleepFor(absl::Milliseconds(1));
    threads.emplace_back([&] {
      grpc::ClientContext context;
      v1::CompleteResult result;
      const grpc::Status status =
          server.stub().CompleteOnce(&context, Request(1), &result);
      ok += status.ok();
      if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
        refused += absl::StrContains(status.error_details(), "RetryInfo");
      }
    });
  }
  // One waits; the others must not.
  while (refused < 6) absl::SleepFor(absl::Milliseconds(1));
  release = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ok, 2);
  EXPECT_EQ(refused, 6);
}

}  // namespace
}  // namespace seer
