// A channel to a server, and how calls over it are tried again.
#ifndef SEER_CLIENT_CONNECTION_CONNECTION_H_
#define SEER_CLIENT_CONNECTION_CONNECTION_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/connection/backoff.h"
#include "client/connection/canceller.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

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

  // Sent with every call as "authorization: Bearer ...". "": none. Only
  // printable ASCII without spaces, at most 4096 characters.
  std::string bearer_token;

  // Of calls that end UNAVAILABLE before any answer arrived. A completion that
  // has given a frame is never retried. A server's RetryInfo is waited out.
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

// Thread-safe; shared by the clients that use it.
class Connection {
 public:
  // What one try of a call came to.
  struct Outcome {
    grpc::Status status;
    // A message arrived: not to be tried again.
    bool answered = false;
    // The next try goes on where this one ended: tries are counted anew.
    bool progressed = false;
    // To be tried again although the code is not UNAVAILABLE.
    bool transient = false;
  };

  // Does not connect: the first call does. INVALID_ARGUMENT: the options.
  static absl::StatusOr<std::shared_ptr<const Connection>> Create(
      const ClientOptions& options);

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Tries until success, an error that is not to be retried, the deadline or a
  // cancel. Errors are those of StatusFromGrpc
  // (client/connection/error_details.h).
  absl::Status Call(
      const CallOptions& options,
      absl::FunctionRef<Outcome(grpc::ClientContext*)> attempt) const;

  // Call of a unary method of a stub.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Unary(
      Stub* stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, const CallOptions& options) const {
    Response response;
    const absl::Status status =
        Call(options, [&](grpc::ClientContext* context) {
          response.Clear();
          return Outcome{(stub->*method)(context, request, &response)};
        });
    if (!status.ok()) return status;
    return response;
  }

 private:
  explicit Connection(const ClientOptions& options);

  // Waits before the next try of a call. Returns whether it was cancelled.
  bool WaitToRetry(absl::Duration wait, const Canceller* canceller) const;

  const RetryOptions retry_;
  const std::string authorization_;  // "": none
  const std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace seer

#endif  // SEER_CLIENT_CONNECTION_CONNECTION_H_
