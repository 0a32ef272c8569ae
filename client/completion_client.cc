#include "client/completion_client.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/error_details.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace seer {
namespace {

// How late a cancel may be noticed between tries.
constexpr absl::Duration kCancelCheck = absl::Milliseconds(20);

std::shared_ptr<grpc::ChannelCredentials> Credentials(
    const ClientOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = options.tls->root_certificates;
  ssl.pem_cert_chain = options.tls->certificate_chain;
  ssl.pem_private_key = options.tls->private_key;
  return grpc::SslCredentials(ssl);
}

grpc::ChannelArguments Arguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.max_receive_bytes);
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  // gRPC's default of 1 s and more between connection attempts would answer
  // our retries from memory, without asking the server again.
  // How long one attempt may take, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, is left
  // as it is: a slow connection is not a refused one.
  const int64_t reconnect_ms = absl::ToInt64Milliseconds(
      std::min(options.retry.initial_backoff, absl::Seconds(1)));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                   static_cast<int>(reconnect_ms));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(2 * reconnect_ms));
  return arguments;
}

absl::Status CancelledByCaller() {
  return absl::CancelledError("cancelled by the caller");
}

}  // namespace

absl::Status ClientOptions::Validate() const {
  if (target.empty()) return absl::InvalidArgumentError("target is empty");
  if (retry.max_attempts < 1) {
    return absl::InvalidArgumentError("retry.max_attempts must be at least 1");
  }
  if (retry.initial_backoff <= absl::ZeroDuration() ||
      retry.max_backoff <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("retry backoffs must be positive");
  }
  if (max_receive_bytes < 1) {
    return absl::InvalidArgumentError("max_receive_bytes must be positive");
  }
  if (tls.has_value() &&
      tls->certificate_chain.empty() != tls->private_key.empty()) {
    return absl::InvalidArgumentError(
        "tls.certificate_chain and tls.private_key go together");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<CompletionClient>> CompletionClient::Create(
    const ClientOptions& options) {
  SEER_RETURN_IF_ERROR(options.Validate());
  return absl::WrapUnique(new CompletionClient(
      options, grpc::CreateCustomChannel(options.target, Credentials(options),
                                         Arguments(options))));
}

CompletionClient::CompletionClient(const ClientOptions& options,
                                   std::shared_ptr<grpc::Channel> channel)
    : retry_(options.retry),
      channel_(std::move(channel)),
      stub_(v1::CompletionService::NewStub(channel_)) {}

bool CompletionClient::WaitToRetry(absl::Duration wait,
                                   const Canceller* canceller) const {
  const absl::Time end = absl::Now() + wait;
  const auto cancelled = [&] {
    return canceller != nullptr && canceller->cancelled();
  };
  // gRPC connects only while somebody waits for it: asleep, the next try would
  // find the connection where this one left it.
  while (absl::Now() < end && !cancelled() &&
         !channel_->WaitForConnected(
             absl::ToChronoTime(std::min(end, absl::Now() + kCancelCheck)))) {
  }
  if (canceller != nullptr) return canceller->WaitFor(end - absl::Now());
  absl::SleepFor(end - absl::Now());
  return false;
}

absl::Status CompletionClient::Call(
    const CallOptions& options,
    absl::FunctionRef<Outcome(grpc::ClientContext*)> attempt) const {
  const absl::Time deadline = absl::Now() + options.timeout;
  Backoff backoff(retry_, std::random_device()());
  while (true) {
    grpc::ClientContext context;
    context.set_wait_for_ready(options.wait_for_ready);
    if (deadline != absl::InfiniteFuture()) {
      context.set_deadline(absl::ToChronoTime(deadline));
    }
    Outcome outcome;
    {
      Canceller::Registration registration(options.canceller, &context);
      outcome = attempt(&context);
    }
    absl::Status status = StatusFromGrpc(outcome.status);
    if (absl::IsCancelled(status) && options.canceller != nullptr &&
        options.canceller->cancelled()) {
      return CancelledByCaller();
    }
    if (!absl::IsUnavailable(status) || outcome.answered) return status;
    const std::optional<absl::Duration> wait =
        backoff.Next(DetailsOf(status).retry_delay);
    if (!wait.has_value() || absl::Now() + *wait >= deadline) return status;
    if (WaitToRetry(*wait, options.canceller)) return CancelledByCaller();
  }
}

absl::Status CompletionClient::Complete(
    const v1::CompleteRequest& request,
    absl::FunctionRef<bool(const v1::CompleteResponse&)> on_frame,
    const CallOptions& options) const {
  bool stopped = false;
  bool finished = false;
  SEER_RETURN_IF_ERROR(Call(options, [&](grpc::ClientContext* context) {
    Outcome outcome;
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

template <typename Request, typename Response>
absl::StatusOr<Response> CompletionClient::Unary(
    grpc::Status (v1::CompletionService::Stub::*method)(grpc::ClientContext*,
                                                        const Request&,
                                                        Response*),
    const Request& request, const CallOptions& options) const {
  Response response;
  SEER_RETURN_IF_ERROR(Call(options, [&](grpc::ClientContext* context) {
    response.Clear();
    return Outcome{((*stub_).*method)(context, request, &response)};
  }));
  return response;
}

absl::StatusOr<v1::CompleteResult> CompletionClient::CompleteOnce(
    const v1::CompleteRequest& request, const CallOptions& options) const {
  return Unary(&v1::CompletionService::Stub::CompleteOnce, request, options);
}

absl::StatusOr<v1::TokenizeResponse> CompletionClient::Tokenize(
    const v1::TokenizeRequest& request, const CallOptions& options) const {
  return Unary(&v1::CompletionService::Stub::Tokenize, request, options);
}

absl::StatusOr<v1::DetokenizeResponse> CompletionClient::Detokenize(
    const v1::DetokenizeRequest& request, const CallOptions& options) const {
  return Unary(&v1::CompletionService::Stub::Detokenize, request, options);
}

absl::StatusOr<v1::ApplyChatTemplateResponse>
CompletionClient::ApplyChatTemplate(const v1::ApplyChatTemplateRequest& request,
                                    const CallOptions& options) const {
  return Unary(&v1::CompletionService::Stub::ApplyChatTemplate, request,
               options);
}

absl::StatusOr<v1::Model> CompletionClient::GetModel(
    const v1::GetModelRequest& request, const CallOptions& options) const {
  return Unary(&v1::CompletionService::Stub::GetModel, request, options);
}

absl::StatusOr<v1::Load> CompletionClient::GetLoad(
    const v1::GetLoadRequest& request, const CallOptions& options) const {
  return Unary(&v1::CompletionService::Stub::GetLoad, request, options);
}

}  // namespace seer
