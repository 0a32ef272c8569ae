#include "server/grpc/grpc_server.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/option_range.h"

namespace seer {
namespace {

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void SetLimits(const GrpcServer::Options& options,
               grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(options.max_receive_bytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                             options.max_metadata_bytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             Milliseconds(options.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             Milliseconds(options.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      Milliseconds(options.min_ping_interval));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             Milliseconds(options.max_connection_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             Milliseconds(options.max_connection_age_grace));
  // gRPC's default lets a second server share the port unnoticed.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  grpc::ResourceQuota quota("seerserve");
  quota.Resize(static_cast<size_t>(options.memory_quota_bytes));
  builder.SetResourceQuota(quota);
}

std::shared_ptr<grpc::ServerCredentials> Credentials(const TlsOptions& tls) {
  if (tls.certificate_chain.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      tls.client_ca.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = tls.client_ca;
  options.pem_key_cert_pairs.push_back(
      {tls.private_key, tls.certificate_chain});
  return grpc::SslServerCredentials(options);
}

}  // namespace

absl::Status GrpcServer::Options::Validate() const {
  absl::Status status;
  status.Update(InRange("max_receive_bytes", max_receive_bytes, 1024, 1 << 30));
  status.Update(
      InRange("max_concurrent_streams", max_concurrent_streams, 1, 1 << 20));
  status.Update(
      InRange("max_metadata_bytes", max_metadata_bytes, 1024, 1 << 20));
  status.Update(InRange("memory_quota_bytes", memory_quota_bytes,
                        int64_t{1} << 20, int64_t{1} << 40));
  constexpr absl::Duration kLongest = absl::Hours(24 * 20);
  status.Update(
      InRange("keepalive_time", keepalive_time, absl::Seconds(1), kLongest));
  status.Update(InRange("keepalive_timeout", keepalive_timeout,
                        absl::Seconds(1), kLongest));
  status.Update(InRange("min_ping_interval", min_ping_interval,
                        absl::Milliseconds(10), kLongest));
  status.Update(InRange("max_connection_age", max_connection_age,
                        absl::Seconds(1), kLongest));
  status.Update(InRange("max_connection_age_grace", max_connection_age_grace,
                        absl::Seconds(1), kLongest));
  const bool secure = !tls.certificate_chain.empty();
  if (secure != !tls.private_key.empty()) {
    status.Update(absl::InvalidArgumentError(
        "TLS needs both a certificate and a private key"));
  }
  if (!secure && !tls.client_ca.empty()) {
    status.Update(absl::InvalidArgumentError(
        "client certificates need a server certificate"));
  }
  if (!secure && !address.IsLoopback() && !allow_insecure_non_loopback) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        address.ToString(),
        " can be reached from other machines: needs TLS "
        "(--tls_certificate_file), or --allow_insecure_non_loopback")));
  }
  return status;
}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const Options& options, const std::vector<grpc::Service*>& services) {
  if (absl::Status status = options.Validate(); !status.ok()) return status;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto server = std::unique_ptr<GrpcServer>(new GrpcServer());
  grpc::ServerBuilder builder;
  SetLimits(options, builder);
  builder.AddListeningPort(options.address.ToString(), Credentials(options.tls),
                           &server->port_);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen for gRPC on ", options.address.ToString(),
        ": the address is in use or not of this machine, or the TLS files do "
        "not fit together"));
  }
  return server;
}

GrpcServer::~GrpcServer() {
  if (server_ != nullptr) Shutdown(absl::Now());
}

void GrpcServer::SetHealth(Health health) {
  grpc::HealthCheckServiceInterface* service = server_->GetHealthCheckService();
  service->SetServingStatus("", health.ready);
  service->SetServingStatus("readiness", health.ready);
  service->SetServingStatus("liveness", health.alive);
}

void GrpcServer::Shutdown(absl::Time deadline) {
  server_->Shutdown(absl::ToChronoTime(deadline));
  server_->Wait();
}

}  // namespace seer
