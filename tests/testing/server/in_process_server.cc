#include "tests/testing/server/in_process_server.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "server/metrics/text_exposition.h"
#include "tests/testing/engine/tiny/tiny_tokenizer.h"

namespace seer {

InProcessServer::InProcessServer(Options options)
    : tokenizer_(LoadTinyTokenizer()) {
  options.engine.model.vocab_size = tokenizer_->vocab_size();
  if (options.has_chat_template) {
    auto chat_template = ChatTemplate::Make(tokenizer_.get());
    EXPECT_TRUE(chat_template.ok()) << chat_template.status();
    chat_template_.emplace(*std::move(chat_template));
  }
  metrics_ =
      std::make_unique<Metrics>(options.engine.model.model_id, "0.0.0-test");
  options.engine.observer = metrics_.get();
  engine_ = options.script
                ? std::make_unique<FakeEngine>(options.engine, options.script)
                : std::make_unique<FakeEngine>(options.engine);
  EXPECT_TRUE(options.service.Validate().ok());
  service_ = std::make_unique<CompletionService>(
      engine_.get(), tokenizer_.get(),
      chat_template_ ? &*chat_template_ : nullptr, metrics_.get(),
      options.service);
  auto server = GrpcServer::Start(options.server, {service_.get()});
  EXPECT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  server_->SetHealth(Health());
  stub_ = v1::CompletionService::NewStub(NewChannel());
}

std::string InProcessServer::target() const {
  return absl::StrCat("127.0.0.1:", server_->port());
}

std::shared_ptr<grpc::Channel> InProcessServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(target(), grpc::InsecureChannelCredentials(),
                                   arguments);
}

std::string InProcessServer::MetricsText() const {
  const EngineCollector collector(engine_.get(), engine_->model().model_id);
  return ExposeText({&metrics_->registry(), &collector});
}

}  // namespace seer
