#include "server/metrics/http_endpoint.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "httplib.h"

namespace seer {
namespace {

// The version tells scrapers which text format this is.
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr char kTextType[] = "text/plain; charset=utf-8";

void AnswerProbe(bool good, httplib::Response& response) {
  response.status = good ? 200 : 503;
  response.set_content(good ? "ok\n" : "not ok\n", kTextType);
}

}  // namespace

absl::Status HttpEndpoint::Options::Validate() const {
  if (port < 0 || port > 65535) {
    return absl::InvalidArgumentError("the HTTP port must be in [0, 65535]");
  }
  if (num_threads < 1 || keep_alive_requests < 1 || timeout_seconds < 1) {
    return absl::InvalidArgumentError("HTTP limits must be at least 1");
  }
  return absl::OkStatus();
}

HttpEndpoint::HttpEndpoint(Options options)
    : options_(std::move(options)),
      server_(std::make_unique<httplib::Server>()) {}

void HttpEndpoint::AddRoutes() {
  server_->Get("/metrics",
               [this](const httplib::Request&, httplib::Response& response) {
                 response.set_content(options_.metrics(), kMetricsType);
               });
  server_->Get("/healthz",
               [this](const httplib::Request&, httplib::Response& response) {
                 AnswerProbe(options_.alive(), response);
               });
  server_->Get("/readyz",
               [this](const httplib::Request&, httplib::Response& response) {
                 AnswerProbe(options_.ready(), response);
               });
}

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(
    Options options) {
  if (absl::Status status = options.Validate(); !status.ok()) return status;
  auto endpoint = std::unique_ptr<HttpEndpoint>(new HttpEndpoint(options));
  httplib::Server& server = *endpoint->server_;
  endpoint->AddRoutes();
  server.new_task_queue = [threads = options.num_threads] {
    return new httplib::ThreadPool(threads);
  };
  server.set_keep_alive_max_count(options.keep_alive_requests);
  server.set_keep_alive_timeout(options.timeout_seconds);
  server.set_read_timeout(options.timeout_seconds);
  server.set_write_timeout(options.timeout_seconds);
  server.set_payload_max_length(1024);
  // Not SO_REUSEPORT, the library's choice: two servers would share a port
  // without noticing.
  server.set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  errno = 0;
  if (options.port == 0) {
    endpoint->port_ = server.bind_to_any_port(options.host);
  } else if (server.bind_to_port(options.host, options.port)) {
    endpoint->port_ = options.port;
  }
  if (endpoint->port_ <= 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen for HTTP on ", options.host, ":", options.port, ": ",
        errno != 0 ? std::strerror(errno) : "no such address"));
  }
  endpoint->thread_ = std::thread([&server] { server.listen_after_bind(); });
  // stop() is lost on a server that does not run yet.
  while (!server.is_running()) absl::SleepFor(absl::Milliseconds(1));
  return endpoint;
}

HttpEndpoint::~HttpEndpoint() {
  if (!thread_.joinable()) return;
  server_->stop();
  thread_.join();
}

}  // namespace seer
