// How the process ends: by signals, with and without requests.
#include <signal.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace seer {
namespace {

v1::CompleteRequest Request(int max_tokens) {
  v1::CompleteRequest request;
  request.set_text("a");
  request.set_max_tokens(max_tokens);
  request.set_ignore_eos(true);
  return request;
}

// A stream whose first token has come.
class RunningStream {
 public:
  RunningStream(ServerProcess& server, int max_tokens)
      : reader_(server.stub().Complete(&context_, Request(max_tokens))) {
    while (tokens_ == 0 && ReadOne()) {
    }
    EXPECT_GT(tokens_, 0);
  }

  grpc::Status ReadToTheEnd() {
    while (ReadOne()) {
    }
    return reader_->Finish();
  }

  int tokens() const { return tokens_; }

 private:
  bool ReadOne() {
    v1::CompleteResponse frame;
    if (!reader_->Read(&frame)) return false;
    tokens_ += frame.delta().token_ids_size();
    return true;
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::CompleteResponse>> reader_;
  int tokens_ = 0;
};

TEST(ShutdownTest, AnIdleServerStopsCleanly) {
  for (const int number : {SIGTERM, SIGINT}) {
    ServerProcess server(NewModel(), {});
    ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
    EXPECT_EQ(server.HttpGet("/healthz"), "ok\n");
    EXPECT_EQ(server.HttpGet("/readyz"), "ok\n");
    server.Signal(number);
    EXPECT_EQ(server.WaitForExit(), 0) << server.Log();
  }
}

TEST(ShutdownTest, RunningStreamsFinishAndNewOnesAreRefused) {
  constexpr int kTokens = 8000;
  ServerProcess server(NewModel(), {"--drain_seconds=300"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  RunningStream stream(server, kTokens);
  server.Signal(SIGTERM);
  while (server.HttpGet("/readyz") == "ok\n") {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(server.HttpGet("/healthz"), "ok\n");
  grpc::ClientContext context;
  v1::CompleteResult result;
  const grpc::Status refused =
      server.stub().CompleteOnce(&context, Request(1), &result);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(absl::StrContains(refused.error_details(), "RetryInfo"));
  EXPECT_TRUE(stream.ReadToTheEnd().ok());
  EXPECT_EQ(stream.tokens(), kTokens);
  EXPECT_EQ(server.WaitForExit(), 0) << server.Log();
}

TEST(ShutdownTest, TheDrainTimeCutsWhatIsLeft) {
  ServerProcess server(NewModel(), {"--drain_seconds=0"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  RunningStream stream(server, 16000);
  server.Signal(SIGTERM);
  EXPECT_EQ(stream.ReadToTheEnd().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.WaitForExit(), 5) << server.Log();
}

TEST(ShutdownTest, ASecondSignalEndsItAtOnce) {
  ServerProcess server(NewModel(), {"--drain_seconds=300"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  RunningStream stream(server, 16000);
  server.Signal(SIGTERM);
  while (server.HttpGet("/readyz") == "ok\n") {
    absl::SleepFor(absl::Milliseconds(1));
  }
  server.Signal(SIGINT);
  EXPECT_EQ(server.WaitForExit(), 128 + SIGINT) << server.Log();
  EXPECT_FALSE(stream.ReadToTheEnd().ok());
}

}  // namespace
}  // namespace seer
