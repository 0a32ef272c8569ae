#ifndef SEER_SERVER_METRICS_HTTP_ENDPOINT_H_
#define SEER_SERVER_METRICS_HTTP_ENDPOINT_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace httplib {
class Server;
}

namespace seer {

// A small plain-text HTTP server for scrapers and probes:
//   GET /metrics  the text that Options::metrics gives
//   GET /healthz  200 while Options::alive, else 503
//   GET /readyz   200 while Options::ready, else 503
// Nothing of a request is read but its path. Serves until destroyed.
class HttpEndpoint {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    int port = 0;  // 0: any free one
    // Called on any of the endpoint's threads, several at once.
    std::function<std::string()> metrics;
    std::function<bool()> alive;
    std::function<bool()> ready;
    // Connections served at once: a scraper, probes and a person or two. A
    // connection that is kept open holds one of them.
    int num_threads = 8;
    int keep_alive_requests = 100;
    int timeout_seconds = 5;  // of reading, of writing, of an idle connection
    absl::Status Validate() const;
  };

  // UNAVAILABLE: cannot listen there, for instance because the port is in use.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(Options options);

  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

  int port() const { return port_; }

 private:
  explicit HttpEndpoint(Options options);
  void AddRoutes();

  const Options options_;
  std::unique_ptr<httplib::Server> server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace seer

#endif  // SEER_SERVER_METRICS_HTTP_ENDPOINT_H_
