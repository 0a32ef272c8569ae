#include "client/completion/completion_client.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/connection/error_details.h"
#include "client/testing/scripted_server.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<CompletionClient> MakeClient(const std::string& target,
                                             int max_attempts = 3) {
  ClientOptions options;
  options.target = target;
  options.retry.max_attempts = max_attempts;
  options.retry.initial_backoff = absl::Milliseconds(10);
  auto client = CompletionClient::Create(options);
  return client.ok() ? *std::move(client) : nullptr;
}

v1::CompleteResponse Text(const std::string& text) {
  v1::CompleteResponse frame;
  frame.mutable_delta()->set_text(text);
  return frame;
}

v1::CompleteResponse End() {
  v1::CompleteResponse frame;
  frame.mutable_summary();
  return frame;
}

// Sends one frame, waits until the client goes away, and says so.
Script UntilCancelled(absl::Notification* cancelled) {
  Script script;
  script.complete = [cancelled](const auto& context, const auto&,
                                auto& writer) {
    writer.Write(Text("a"));
    while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    cancelled->Notify();
    return grpc::Status::CANCELLED;
  };
  return script;
}

TEST(CompletionClientTest, StreamsFramesInOrder) {
  Script script;
  script.complete = [](auto&, const v1::CompleteRequest& request,
                       auto& writer) {
    writer.Write(Text(request.text()));
    writer.Write(Text("b"));
    writer.Write(End());
    return grpc::Status::OK;
  };
  ScriptedServer server(script);
  v1::CompleteRequest request;
  request.set_text("a");
  std::vector<std::string> texts;
  const absl::Status status =
      MakeClient(server.address())->Complete(request, [&](const auto& frame) {
        texts.push_back(frame.delta().text());
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(texts, ElementsAre("a", "b", ""));
}

TEST(CompletionClientTest, AStreamWithoutSummaryIsAnError) {
  Script script;
  script.complete = [](auto&, const auto&, auto& writer) {
    writer.Write(Text("a"));
    return grpc::Status::OK;
  };
  ScriptedServer server(script);
  EXPECT_TRUE(absl::IsInternal(
      MakeClient(server.address())->Complete({}, [](const auto&) {
        return true;
      })));
}

TEST(CompletionClientTest, CallbackCancelsTheStream) {
  absl::Notification cancelled;
  ScriptedServer server(UntilCancelled(&cancelled));
  EXPECT_TRUE(absl::IsCancelled(
      MakeClient(server.address())->Complete({}, [](const auto&) {
        return false;
      })));
  cancelled.WaitForNotification();
}

TEST(CompletionClientTest, CancellerEndsAStreamFromAnotherThread) {
  absl::Notification cancelled;
  ScriptedServer server(UntilCancelled(&cancelled));
  Canceller canceller;
  CallOptions options;
  options.canceller = &canceller;
  std::thread thread;
  const absl::Status status =
      MakeClient(server.address())
          ->Complete(
              {},
              [&](const auto&) {
                thread = std::thread([&] { canceller.Cancel(); });
                return true;
              },
              options);
  thread.join();
  EXPECT_EQ(status, absl::CancelledError("cancelled by the caller"));
  cancelled.WaitForNotification();
  // And every later call with it.
  EXPECT_TRUE(absl::IsCancelled(
      MakeClient(server.address())->GetLoad({}, options).status()));
}

TEST(CompletionClientTest, RetriesWhileUnavailable) {
  std::atomic<int> calls = 0;
  Script script;
  script.complete = [&](auto&, const auto&, auto& writer) {
    if (++calls < 3) return grpc::Status(grpc::UNAVAILABLE, "draining");
    writer.Write(End());
    return grpc::Status::OK;
  };
  ScriptedServer server(script);
  const auto ignore = [](const auto&) { return true; };
  EXPECT_TRUE(MakeClient(server.address(), 3)->Complete({}, ignore).ok());
  EXPECT_EQ(calls, 3);
  calls = 0;
  EXPECT_EQ(MakeClient(server.address(), 2)->Complete({}, ignore),
            absl::UnavailableError("draining"));
  EXPECT_EQ(calls, 2);
}

TEST(CompletionClientTest, RetriesNothingElse) {
  std::atomic<int> calls = 0;
  Script script;
  script.complete = [&](auto&, const auto&, auto& writer) {
    ++calls;
    writer.Write(Text("a"));  // from here on the answer has begun
    return grpc::Status(grpc::UNAVAILABLE, "went away");
  };
  script.get_load = [&](const auto&, auto*) {
    ++calls;
    return grpc::Status(grpc::RESOURCE_EXHAUSTED, "full");
  };
  ScriptedServer server(script);
  const auto client = MakeClient(server.address());
  EXPECT_TRUE(absl::IsUnavailable(
      client->Complete({}, [](const auto&) { return true; })));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(absl::IsResourceExhausted(client->GetLoad({}).status()));
  EXPECT_EQ(calls, 2);
}

TEST(CompletionClientTest, WaitsAsLongAsTheServerAsks) {
  std::atomic<int> calls = 0;
  google::rpc::RetryInfo retry_info;
  retry_info.mutable_retry_delay()->set_nanos(300'000'000);
  Script script;
  script.get_load = [&](const auto&, auto*) {
    return ++calls == 1
               ? WithDetails(grpc::UNAVAILABLE, "draining", {&retry_info})
               : grpc::Status::OK;
  };
  ScriptedServer server(script);
  const absl::Time start = absl::Now();
  EXPECT_TRUE(MakeClient(server.address())->GetLoad({}).ok());
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(300));
}

TEST(CompletionClientTest, DoesNotWaitPastTheDeadlineOrACancel) {
  google::rpc::RetryInfo retry_info;
  retry_info.mutable_retry_delay()->set_seconds(3600);
  Script script;
  script.get_load = [&](const auto&, auto*) {
    return WithDetails(grpc::UNAVAILABLE, "draining", {&retry_info});
  };
  ScriptedServer server(script);
  const auto client = MakeClient(server.address());
  CallOptions options;
  options.timeout = absl::Minutes(30);
  const absl::Status status = client->GetLoad({}, options).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(DetailsOf(status).retry_delay, absl::Hours(1));

  Canceller canceller;
  options.timeout = absl::InfiniteDuration();
  options.canceller = &canceller;
  std::thread thread([&] {
    absl::SleepFor(absl::Milliseconds(50));
    canceller.Cancel();
  });
  EXPECT_TRUE(absl::IsCancelled(client->GetLoad({}, options).status()));
  thread.join();
}

TEST(CompletionClientTest, DeadlineEndsACall) {
  absl::Notification cancelled;
  ScriptedServer server(UntilCancelled(&cancelled));
  CallOptions options;
  options.timeout = absl::Milliseconds(200);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      MakeClient(server.address())
          ->Complete(
              {}, [](const auto&) { return true; }, options)));
}

TEST(CompletionClientTest, ReachesEveryUnaryMethod) {
  Script script;
  script.complete_once = [](const auto& request, v1::CompleteResult* result) {
    result->add_choices()->set_text(request.text());
    return grpc::Status::OK;
  };
  script.tokenize = [](const auto& request, v1::TokenizeResponse* response) {
    response->add_token_ids(request.text().size());
    return grpc::Status::OK;
  };
  script.detokenize = [](const auto& request,
                         v1::DetokenizeResponse* response) {
    response->set_text(std::string(request.token_ids(0), 'x'));
    return grpc::Status::OK;
  };
  script.apply_chat_template = [](const auto& request, auto* response) {
    response->set_text(request.chat().messages(0).content());
    return grpc::Status::OK;
  };
  script.get_model = [](const auto& request, v1::Model* model) {
    model->set_name(request.name());
    return grpc::Status::OK;
  };
  script.get_load = [](const auto&, v1::Load* load) {
    load->set_requests_running(7);
    return grpc::Status::OK;
  };
  ScriptedServer server(script);
  const auto client = MakeClient(server.address());
  v1::CompleteRequest complete;
  complete.set_text("abc");
  EXPECT_EQ(client->CompleteOnce(complete)->choices(0).text(), "abc");
  v1::TokenizeRequest tokenize;
  tokenize.set_text("abcd");
  EXPECT_THAT(client->Tokenize(tokenize)->token_ids(), ElementsAre(4));
  v1::DetokenizeRequest detokenize;
  detokenize.add_token_ids(3);
  EXPECT_EQ(client->Detokenize(detokenize)->text(), "xxx");
  v1::ApplyChatTemplateRequest chat;
  chat.mutable_chat()->add_messages()->set_content("hi");
  EXPECT_EQ(client->ApplyChatTemplate(chat)->text(), "hi");
  v1::GetModelRequest model;
  model.set_name("models/m");
  EXPECT_EQ(client->GetModel(model)->name(), "models/m");
  EXPECT_EQ(client->GetLoad({})->requests_running(), 7);
}

TEST(CompletionClientTest, ReceivesMessagesOverGrpcsDefaultLimit) {
  Script script;
  script.detokenize = [](const auto&, v1::DetokenizeResponse* response) {
    response->set_text(std::string(6 << 20, 'x'));
    return grpc::Status::OK;
  };
  ScriptedServer server(script);
  EXPECT_EQ(MakeClient(server.address())->Detokenize({})->text().size(),
            6 << 20);
}

TEST(CompletionClientTest, NobodyThereIsUnavailable) {
  std::string address;
  { address = ScriptedServer(Script()).address(); }
  EXPECT_TRUE(absl::IsUnavailable(MakeClient(address)->GetLoad({}).status()));
}

// A server that comes up after the first tries of a call have failed.
class LateServerTest : public ::testing::Test {
 protected:
  LateServerTest() {
    script_.get_load = [](const auto&, auto*) { return grpc::Status::OK; };
    const ScriptedServer taken(script_);
    port_ = taken.port();
    address_ = taken.address();
    starter_ = std::thread([this] {
      absl::SleepFor(absl::Milliseconds(300));
      server_ = std::make_unique<ScriptedServer>(
          script_, grpc::InsecureServerCredentials(), port_);
    });
  }
  ~LateServerTest() override { starter_.join(); }

  Script script_;
  int port_ = 0;
  std::string address_;
  std::unique_ptr<ScriptedServer> server_;
  std::thread starter_;
};

TEST_F(LateServerTest, RetriesConnectAgain) {
  ClientOptions options;
  options.target = address_;
  options.retry.max_attempts = 30;
  options.retry.max_backoff = absl::Milliseconds(100);
  const auto client = CompletionClient::Create(options);
  EXPECT_TRUE((*client)->GetLoad({}).ok());
}

TEST_F(LateServerTest, ACallMayWaitForIt) {
  CallOptions options;
  options.timeout = absl::Seconds(4);
  options.wait_for_ready = true;
  EXPECT_TRUE(MakeClient(address_, 1)->GetLoad({}, options).ok());
}

TEST(CompletionClientTest, ChecksItsOptions) {
  const auto error = [](auto change) {
    ClientOptions options;
    change(options);
    return CompletionClient::Create(options).status().code();
  };
  using O = ClientOptions;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(error([](O&) {}), absl::StatusCode::kOk);
  EXPECT_EQ(error([](O& o) { o.target = ""; }), kInvalid);
  EXPECT_EQ(error([](O& o) { o.retry.max_attempts = 0; }), kInvalid);
  EXPECT_EQ(error([](O& o) { o.retry.initial_backoff = {}; }), kInvalid);
  EXPECT_EQ(error([](O& o) { o.retry.max_backoff = {}; }), kInvalid);
  EXPECT_EQ(error([](O& o) { o.max_receive_bytes = 0; }), kInvalid);
  EXPECT_EQ(error([](O& o) { o.tls.emplace().private_key = "x"; }), kInvalid);
}

}  // namespace
}  // namespace seer
