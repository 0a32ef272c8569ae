#include "client/testing/scripted_server.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_builder.h"

namespace seer {
namespace {

template <typename Method, typename... Args>
grpc::Status Answer(const Method& method, Args&&... args) {
  if (!method) return grpc::Status(grpc::UNIMPLEMENTED, "not in the script");
  return method(std::forward<Args>(args)...);
}

}  // namespace

class ScriptedServer::Service final : public v1::CompletionService::Service {
 public:
  explicit Service(Script script) : script_(std::move(script)) {}

  grpc::Status Complete(
      grpc::ServerContext* context, const v1::CompleteRequest* request,
      grpc::ServerWriter<v1::CompleteResponse>* writer) override {
    return Answer(script_.complete, *context, *request, *writer);
  }
  grpc::Status CompleteOnce(grpc::ServerContext*,
                            const v1::CompleteRequest* request,
                            v1::CompleteResult* response) override {
    return Answer(script_.complete_once, *request, response);
  }
  grpc::Status Tokenize(grpc::ServerContext*,
                        const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override {
    return Answer(script_.tokenize, *request, response);
  }
  grpc::Status Detokenize(grpc::ServerContext*,
                          const v1::DetokenizeRequest* request,
                          v1::DetokenizeResponse* response) override {
    return Answer(script_.detokenize, *request, response);
  }
  grpc::Status ApplyChatTemplate(
      grpc::ServerContext*, const v1::ApplyChatTemplateRequest* request,
      v1::ApplyChatTemplateResponse* response) override {
    return Answer(script_.apply_chat_template, *request, response);
  }
  grpc::Status GetModel(grpc::ServerContext*,
                        const v1::GetModelRequest* request,
                        v1::Model* response) override {
    return Answer(script_.get_model, *request, response);
  }
  grpc::Status GetLoad(grpc::ServerContext*, const v1::GetLoadRequest* request,
                       v1::Load* response) override {
    return Answer(script_.get_load, *request, response);
  }

 private:
  const Script script_;
};

ScriptedServer::ScriptedServer(
    Script script, std::shared_ptr<grpc::ServerCredentials> credentials,
    int port)
    : service_(std::make_unique<Service>(std::move(script))) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port),
                           std::move(credentials), &port_);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port_);
}

ScriptedServer::~ScriptedServer() {
  server_->Shutdown(std::chrono::system_clock::now());
}

grpc::Status WithDetails(
    grpc::StatusCode code, const std::string& message,
    std::initializer_list<const google::protobuf::Message*> details) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  for (const google::protobuf::Message* detail : details) {
    status.add_details()->PackFrom(*detail);
  }
  return grpc::Status(code, message, status.SerializeAsString());
}

}  // namespace seer
