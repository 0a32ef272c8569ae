#ifndef SEER_TESTS_TESTING_SERVER_IN_PROCESS_SERVER_H_
#define SEER_TESTS_TESTING_SERVER_IN_PROCESS_SERVER_H_

#include <memory>
#include <optional>
#include <string>

#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "grpcpp/channel.h"
#include "proto/seer/v1/completion.grpc.pb.h"
#include "server/completion/completion_service.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/engine_collector.h"
#include "server/metrics/metrics.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {

// The real service and gRPC server over a FakeEngine and the tiny tokenizer,
// on a free port of loopback.
class InProcessServer {
 public:
  struct Options {
    FakeEngine::Options engine;  // its vocabulary becomes the tokenizer's
    FakeScript script;           // unset: EchoReply
    CompletionService::Options service;
    GrpcServer::Options server;
    bool has_chat_template = true;
  };

  explicit InProcessServer(Options options);

  FakeEngine& engine() { return *engine_; }
  GrpcServer& server() { return *server_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const Metrics& metrics() const { return *metrics_; }
  // "127.0.0.1:PORT".
  std::string target() const;
  // A connection of its own, shared with no other channel.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  // Over one connection.
  v1::CompletionService::Stub& stub() { return *stub_; }

  // /metrics as it would be served.
  std::string MetricsText() const;

 private:
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<FakeEngine> engine_;
  std::unique_ptr<CompletionService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::CompletionService::Stub> stub_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_IN_PROCESS_SERVER_H_
