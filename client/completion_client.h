// A client of seer.v1.CompletionService.
//
//   SEER_ASSIGN_OR_RETURN(auto client, CompletionClient::Create({}));
//   v1::CompleteRequest request;
//   request.set_text("Once upon a time");
//   request.set_max_tokens(64);
//   request.mutable_sparsity()->set_target_sparsity(0.8);
//   request.mutable_sparsity()->set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
//   SEER_RETURN_IF_ERROR(
//       client->Complete(request, [](const v1::CompleteResponse& frame) {
//         std::cout << frame.delta().text() << std::flush;
//         return true;
//       }));
#ifndef SEER_CLIENT_COMPLETION_CLIENT_H_
#define SEER_CLIENT_COMPLETION_CLIENT_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/backoff.h"
#include "client/canceller.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "proto/seer/v1/completion.grpc.pb.h"

namespace seer {

struct ClientOptions {
  // A gRPC target: host:port, dns:///host:port, unix:path, ...
  std::string target = "127.0.0.1:8470";

  // PEM texts, not file names.
  struct Tls {
    std::string root_certificates;  // "": the system's
    std::string certificate_chain;  // with private_key: the client's own (mTLS)
    std::string private_key;
    std::string server_name;  // to verify in place of the target's; "": that
  };
  std::optional<Tls> tls;  // unset: plain text

  // Of calls that end UNAVAILABLE before any answer arrived. A stream that has
  // given a frame is never retried. A server's RetryInfo is waited out.
  RetryOptions retry;
  // Messages over this fail with RESOURCE_EXHAUSTED.
  int max_receive_bytes = 64 << 20;

  // INVALID_ARGUMENT names the option.
  absl::Status Validate() const;
};

struct CallOptions {
  // For the call with all its retries: DEADLINE_EXCEEDED after it.
  absl::Duration timeout = absl::InfiniteDuration();
  // While the server cannot be reached, wait for it until the timeout instead
  // of failing with UNAVAILABLE.
  bool wait_for_ready = false;
  // May end the call from another thread. Null: none.
  Canceller* canceller = nullptr;
};

// Thread-safe. Errors keep the server's code and message, and its details for
// DetailsOf (client/error_details.h). No call throws.
class CompletionClient {
 public:
  // Does not connect: the first call does.
  static absl::StatusOr<std::unique_ptr<CompletionClient>> Create(
      const ClientOptions& options);

  // Streams a completion: calls `on_frame` with each frame, in order, on the
  // calling thread, and returns when the stream has ended. OK: the last frame
  // was a summary. CANCELLED: `on_frame` returned false, or the canceller was
  // used. The server is told at once in both cases.
  absl::Status Complete(
      const v1::CompleteRequest& request,
      absl::FunctionRef<bool(const v1::CompleteResponse&)> on_frame,
      const CallOptions& options = {}) const;

  absl::StatusOr<v1::CompleteResult> CompleteOnce(
      const v1::CompleteRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<v1::TokenizeResponse> Tokenize(
      const v1::TokenizeRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<v1::DetokenizeResponse> Detokenize(
      const v1::DetokenizeRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<v1::ApplyChatTemplateResponse> ApplyChatTemplate(
      const v1::ApplyChatTemplateRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<v1::Model> GetModel(const v1::GetModelRequest& request,
                                     const CallOptions& options = {}) const;
  absl::StatusOr<v1::Load> GetLoad(const v1::GetLoadRequest& request,
                                   const CallOptions& options = {}) const;

 private:
  // What one try of a call came to.
  struct Outcome {
    grpc::Status status;
    bool answered = false;  // a message arrived: not to be tried again
  };

  CompletionClient(const ClientOptions& options,
                   std::shared_ptr<grpc::Channel> channel);

  // Waits before the next try of a call. Returns whether it was cancelled.
  bool WaitToRetry(absl::Duration wait, const Canceller* canceller) const;

  // Tries until success, an error that is not to be retried, the deadline or a
  // cancel.
  absl::Status Call(
      const CallOptions& options,
      absl::FunctionRef<Outcome(grpc::ClientContext*)> attempt) const;

  template <typename Request, typename Response>
  absl::StatusOr<Response> Unary(
      grpc::Status (v1::CompletionService::Stub::*method)(grpc::ClientContext*,
                                                          const Request&,
                                                          Response*),
      const Request& request, const CallOptions& options) const;

  const RetryOptions retry_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::CompletionService::Stub> stub_;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMPLETION_CLIENT_H_
