#include "client/completion/completion_client.h"

#include <utility>

#include "base/status_macros.h"

namespace seer {

absl::StatusOr<std::unique_ptr<CompletionClient>> CompletionClient::Create(
    const ClientOptions& options) {
  SEER_ASSIGN_OR_RETURN(auto connection, Connection::Create(options));
  return std::make_unique<CompletionClient>(std::move(connection));
}

CompletionClient::CompletionClient(std::shared_ptr<const Connection> connection)
    : connection_(std::move(connection)),
      stub_(v1::CompletionService::NewStub(connection_->channel())) {}

absl::Status CompletionClient::Complete(
    const v1::CompleteRequest& request,
    absl::FunctionRef<bool(const v1::CompleteResponse&)> on_frame,
    const CallOptions& options) const {
  bool stopped = false;
  bool finished = false;
  SEER_RETURN_IF_ERROR(
      connection_->Call(options, [&](grpc::ClientContext* context) {
        Connection::Outcome outcome;
        const auto reader = stub_->Complete(context, request);
        v1::CompleteResponse frame;
        while (reader->Read(&frame)) {
          outcome.answered = true;
          finished = frame.has_summary();
          if (!stopped && !on_frame(frame)) {
            stopped = true;
            context->TryCancel();
          }
        }
        outcome.status = reader->Finish();
        if (stopped) outcome.status = grpc::Status(grpc::CANCELLED, "");
        return outcome;
      }));
  if (!finished) return absl::InternalError("the stream ended early");
  return absl::OkStatus();
}

absl::StatusOr<v1::CompleteResult> CompletionClient::CompleteOnce(
    const v1::CompleteRequest& request, const CallOptions& options) const {
  return connection_->Unary(stub_.get(),
                            &v1::CompletionService::Stub::CompleteOnce, request,
                            options);
}

absl::StatusOr<v1::TokenizeResponse> CompletionClient::Tokenize(
    const v1::TokenizeRequest& request, const CallOptions& options) const {
  return connection_->Unary(stub_.get(), &v1::CompletionService::Stub::Tokenize,
                            request, options);
}

absl::StatusOr<v1::DetokenizeResponse> CompletionClient::Detokenize(
    const v1::DetokenizeRequest& request, const CallOptions& options) const {
  return connection_->Unary(
      stub_.get(), &v1::CompletionService::Stub::Detokenize, request, options);
}

absl::StatusOr<v1::ApplyChatTemplateResponse>
CompletionClient::ApplyChatTemplate(const v1::ApplyChatTemplateRequest& request,
                                    const CallOptions& options) const {
  return connection_->Unary(stub_.get(),
                            &v1::CompletionService::Stub::ApplyChatTemplate,
                            request, options);
}

absl::StatusOr<v1::Model> CompletionClient::GetModel(
    const v1::GetModelRequest& request, const CallOptions& options) const {
  return connection_->Unary(stub_.get(), &v1::CompletionService::Stub::GetModel,
                            request, options);
}

absl::StatusOr<v1::Load> CompletionClient::GetLoad(
    const v1::GetLoadRequest& request, const CallOptions& options) const {
  return connection_->Unary(stub_.get(), &v1::CompletionService::Stub::GetLoad,
                            request, options);
}

}  // namespace seer
