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
#ifndef SEER_CLIENT_COMPLETION_COMPLETION_CLIENT_H_
#define SEER_CLIENT_COMPLETION_COMPLETION_CLIENT_H_

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/connection/connection.h"
#include "proto/seer/v1/completion.grpc.pb.h"

namespace seer {

// Thread-safe. Errors keep the server's code and message, and its details for
// DetailsOf (client/connection/error_details.h). No call throws.
class CompletionClient {
 public:
  // Does not connect: the first call does.
  static absl::StatusOr<std::unique_ptr<CompletionClient>> Create(
      const ClientOptions& options);
  // Shares the connection. Not null.
  explicit CompletionClient(std::shared_ptr<const Connection> connection);

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
  const std::shared_ptr<const Connection> connection_;
  const std::unique_ptr<v1::CompletionService::Stub> stub_;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMPLETION_COMPLETION_CLIENT_H_
