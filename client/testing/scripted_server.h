// A CompletionService that answers as a test says, over TCP on the loopback
// interface.
#ifndef SEER_CLIENT_TESTING_SCRIPTED_SERVER_H_
#define SEER_CLIENT_TESTING_SCRIPTED_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_context.h"
#include "proto/seer/v1/completion.grpc.pb.h"

namespace seer {

// Set the members before the first call; they run on the server's threads,
// possibly several at once. Unset ones answer UNIMPLEMENTED.
struct Script {
  std::function<grpc::Status(grpc::ServerContext&, const v1::CompleteRequest&,
                             grpc::ServerWriter<v1::CompleteResponse>&)>
      complete;
  std::function<grpc::Status(const v1::CompleteRequest&, v1::CompleteResult*)>
      complete_once;
  std::function<grpc::Status(const v1::TokenizeRequest&, v1::TokenizeResponse*)>
      tokenize;
  std::function<grpc::Status(const v1::DetokenizeRequest&,
                             v1::DetokenizeResponse*)>
      detokenize;
  std::function<grpc::Status(const v1::ApplyChatTemplateRequest&,
                             v1::ApplyChatTemplateResponse*)>
      apply_chat_template;
  std::function<grpc::Status(const v1::GetModelRequest&, v1::Model*)> get_model;
  std::function<grpc::Status(const v1::GetLoadRequest&, v1::Load*)> get_load;
};

class ScriptedServer {
 public:
  // `port`: of 127.0.0.1; 0: any free one.
  explicit ScriptedServer(Script script,
                          std::shared_ptr<grpc::ServerCredentials> credentials =
                              grpc::InsecureServerCredentials(),
                          int port = 0);
  // Ends running calls and waits for them.
  ~ScriptedServer();

  int port() const { return port_; }
  // 127.0.0.1:port
  const std::string& address() const { return address_; }

 private:
  class Service;

  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::string address_;
};

// Adds google.rpc details to a status, as servers do.
grpc::Status WithDetails(
    grpc::StatusCode code, const std::string& message,
    std::initializer_list<const google::protobuf::Message*> details);

}  // namespace seer

#endif  // SEER_CLIENT_TESTING_SCRIPTED_SERVER_H_
