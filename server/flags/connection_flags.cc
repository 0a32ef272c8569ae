#include "server/flags/connection_flags.h"

#include <cstdint>
#include <string>

#include "absl/flags/flag.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "server/flags/flag_values.h"
#include "server/option_range.h"

using seer::GrpcServer;

ABSL_FLAG(std::string, host, "127.0.0.1",
          "Address of this machine to serve gRPC on.");
ABSL_FLAG(int32_t, port, 8470, "Port of gRPC, [0, 65535]. 0: any free one.");
ABSL_FLAG(bool, allow_insecure_non_loopback, false,
          "Serve gRPC to other machines without TLS: only where something else "
          "protects the connections.");
ABSL_FLAG(std::string, tls_certificate_file, "",
          "PEM file of the server's certificate chain. Empty: no TLS.");
ABSL_FLAG(std::string, tls_private_key_file, "",
          "PEM file of the certificate's key.");
ABSL_FLAG(std::string, tls_client_ca_file, "",
          "PEM file of authorities. Where given, clients need a certificate "
          "that one of these signed.");

// Limits of connections. Each default's reason stands in
// server/grpc/grpc_server.h.
ABSL_FLAG(int32_t, max_receive_bytes, GrpcServer::Options().max_receive_bytes,
          "Bytes of one request, [1024, 2^30].");
ABSL_FLAG(int32_t, max_concurrent_streams,
          GrpcServer::Options().max_concurrent_streams,
          "Streams of one connection, at least 1.");
ABSL_FLAG(int32_t, max_metadata_bytes, GrpcServer::Options().max_metadata_bytes,
          "Bytes of a request's headers, at least 1024.");
ABSL_FLAG(int64_t, grpc_memory_mib,
          GrpcServer::Options().memory_quota_bytes >> 20,
          "Memory that gRPC may hold for all connections, MiB.");
ABSL_FLAG(absl::Duration, keepalive_time, GrpcServer::Options().keepalive_time,
          "Between pings that find dead clients, at least 1s.");
ABSL_FLAG(absl::Duration, keepalive_timeout,
          GrpcServer::Options().keepalive_timeout,
          "Without an answer to a ping, until the client counts as dead.");
ABSL_FLAG(absl::Duration, min_ping_interval,
          GrpcServer::Options().min_ping_interval,
          "Clients that ping more often are disconnected.");
ABSL_FLAG(absl::Duration, max_connection_age,
          GrpcServer::Options().max_connection_age,
          "Until a connection takes no new streams, so that load spreads.");
ABSL_FLAG(absl::Duration, max_connection_age_grace,
          GrpcServer::Options().max_connection_age_grace,
          "For the streams of an aged connection.");

namespace seer {

absl::StatusOr<GrpcServer::Options> ReadConnectionFlags() {
  SEER_RETURN_IF_ERROR(InRange(
      "--grpc_memory_mib", absl::GetFlag(FLAGS_grpc_memory_mib), 1, 1 << 20));
  GrpcServer::Options options;
  options.address = {absl::GetFlag(FLAGS_host), absl::GetFlag(FLAGS_port)};
  SEER_ASSIGN_OR_RETURN(
      options.tls.certificate_chain,
      ReadFlagFile(absl::GetFlag(FLAGS_tls_certificate_file)));
  SEER_ASSIGN_OR_RETURN(
      options.tls.private_key,
      ReadFlagFile(absl::GetFlag(FLAGS_tls_private_key_file)));
  SEER_ASSIGN_OR_RETURN(options.tls.client_ca,
                        ReadFlagFile(absl::GetFlag(FLAGS_tls_client_ca_file)));
  options.allow_insecure_non_loopback =
      absl::GetFlag(FLAGS_allow_insecure_non_loopback);
  options.max_receive_bytes = absl::GetFlag(FLAGS_max_receive_bytes);
  options.max_concurrent_streams = absl::GetFlag(FLAGS_max_concurrent_streams);
  options.max_metadata_bytes = absl::GetFlag(FLAGS_max_metadata_bytes);
  options.memory_quota_bytes = BytesOfMib(absl::GetFlag(FLAGS_grpc_memory_mib));
  options.keepalive_time = absl::GetFlag(FLAGS_keepalive_time);
  options.keepalive_timeout = absl::GetFlag(FLAGS_keepalive_timeout);
  options.min_ping_interval = absl::GetFlag(FLAGS_min_ping_interval);
  options.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  options.max_connection_age_grace =
      absl::GetFlag(FLAGS_max_connection_age_grace);
  return options;
}

}  // namespace seer
