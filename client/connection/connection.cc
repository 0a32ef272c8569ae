#include "client/connection/connection.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/connection/error_details.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace seer {
namespace {

constexpr size_t kMaxTokenSize = 4096;

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
  // A proxy of the environment (http_proxy) would be asked for loopback too,
  // and see what is in clear text.
  if (!options.tls.has_value()) {
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
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

bool IsToken(absl::string_view text) {
  return text.size() <= kMaxTokenSize &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isgraph(c); });
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
  if (!IsToken(bearer_token)) {
    return absl::InvalidArgumentError(
        absl::StrCat("bearer_token must be at most ", kMaxTokenSize,
                     " printable ASCII characters without spaces"));
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

absl::StatusOr<std::shared_ptr<const Connection>> Connection::Create(
    const ClientOptions& options) {
  SEER_RETURN_IF_ERROR(options.Validate());
  return absl::WrapUnique(new Connection(options));
}

Connection::Connection(const ClientOptions& options)
    : retry_(options.retry),
      authorization_(options.bearer_token.empty()
                         ? ""
                         : absl::StrCat("Bearer ", options.bearer_token)),
      channel_(grpc::CreateCustomChannel(options.target, Credentials(options),
                                         Arguments(options))) {}

bool Connection::WaitToRetry(absl::Duration wait,
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

absl::Status Connection::Call(
    const CallOptions& options,
    absl::FunctionRef<Outcome(grpc::ClientContext*)> attempt) const {
  const absl::Time deadline = absl::Now() + options.timeout;
  std::random_device seed;
  Backoff backoff(retry_, seed());
  while (true) {
    grpc::ClientContext context;
    context.set_wait_for_ready(options.wait_for_ready);
    if (deadline != absl::InfiniteFuture()) {
      context.set_deadline(absl::ToChronoTime(deadline));
    }
    if (!authorization_.empty()) {
      context.AddMetadata("authorization", authorization_);
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
    if (status.ok() || outcome.answered) return status;
    if (!absl::IsUnavailable(status) && !outcome.transient) return status;
    if (outcome.progressed) backoff = Backoff(retry_, seed());
    const std::optional<absl::Duration> wait =
        backoff.Next(DetailsOf(status).retry_delay);
    if (!wait.has_value() || absl::Now() + *wait >= deadline) return status;
    if (WaitToRetry(*wait, options.canceller)) return CancelledByCaller();
  }
}

}  // namespace seer
