#ifndef SEER_SERVER_GRPC_GRPC_SERVER_H_
#define SEER_SERVER_GRPC_GRPC_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/server.h"
#include "server/grpc/bind_address.h"
#include "server/watchdog.h"

namespace seer {

// Certificates in PEM, not their paths. Empty: no TLS.
struct TlsOptions {
  std::string certificate_chain;
  std::string private_key;
  // Where set, clients must show a certificate that one of these signed.
  std::string client_ca;
};

// A gRPC server with its limits, health and reflection services.
class GrpcServer {
 public:
  struct Options {
    BindAddress address = {"127.0.0.1", 0};
    TlsOptions tls;
    // Requests carry prompts: without TLS they stay on this machine, unless
    // something else (a mesh, a tunnel) protects them.
    bool allow_insecure_non_loopback = false;

    // Bytes of one message from a client. A prompt of 128k tokens is about half
    // a megabyte; what may wait for the tokenizer is a multiple of this.
    int max_receive_bytes = 8 << 20;
    // Streams of one connection. Each costs little; the engine's queue refuses
    // long before this, and says when to retry.
    int max_concurrent_streams = 1024;
    // Bytes of a request's headers: room for tokens and traces, none for abuse.
    int max_metadata_bytes = 16 << 10;
    // Memory that gRPC may hold for all connections; then it stops reading.
    int64_t memory_quota_bytes = int64_t{512} << 20;
    // Pings that find dead clients, whose streams would hold pages otherwise.
    absl::Duration keepalive_time = absl::Seconds(60);
    absl::Duration keepalive_timeout = absl::Seconds(20);
    // Clients that ping more often are disconnected.
    absl::Duration min_ping_interval = absl::Seconds(10);
    // After so long a connection takes no new streams, and its client opens
    // another: load spreads to servers that were started since.
    absl::Duration max_connection_age = absl::Minutes(30);
    // Streams of an aged connection may go on for so long.
    absl::Duration max_connection_age_grace = absl::Hours(1);

    // INVALID_ARGUMENT: a limit out of its range; a host that is not loopback
    // without TLS or allow_insecure_non_loopback; half a TLS configuration.
    absl::Status Validate() const;
  };

  // Listens and serves. `services` are borrowed and must outlive the server.
  // INVALID_ARGUMENT: invalid options. UNAVAILABLE: cannot listen there, for
  // instance because the port is in use.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const Options& options, const std::vector<grpc::Service*>& services);

  // Cancels what is left.
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  int port() const { return port_; }

  // grpc.health.v1: "liveness" says alive; "readiness" and "" say ready.
  void SetHealth(Health health);

  // Takes no new RPCs, waits for those in progress until `deadline`, then
  // cancels them. Once.
  void Shutdown(absl::Time deadline);

 private:
  GrpcServer() = default;

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace seer

#endif  // SEER_SERVER_GRPC_GRPC_SERVER_H_
