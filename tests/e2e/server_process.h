#ifndef SEER_TESTS_E2E_SERVER_PROCESS_H_
#define SEER_TESTS_E2E_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grpcpp/channel.h"
#include "proto/seer/v1/completion.grpc.pb.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {

// A new empty folder for one test.
std::string NewFolder();

// A folder with a tiny random model.
std::string NewModel(const TinyLlamaOptions& options = {});

// A real seerserve on free ports of loopback. Killed when destroyed.
class ServerProcess {
 public:
  // Starts it with `--model=FOLDER` and `flags`; the ports and the log are set.
  ServerProcess(const std::string& model, std::vector<std::string> flags);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Waits until it serves; false if it ended instead.
  bool WaitUntilServing();
  // Waits for its end; the exit code, or 256 + the signal that killed it.
  int WaitForExit();
  void Signal(int number);
  pid_t pid() const { return pid_; }
  // All it has written, to stdout and stderr.
  std::string Log() const;

  // Once it serves.
  int port() const { return port_; }
  std::shared_ptr<grpc::Channel> NewChannel() const;
  v1::CompletionService::Stub& stub() { return *stub_; }
  v1::Load GetLoad();
  // The body of a GET on the HTTP port; "" for any status but 200.
  std::string HttpGet(const std::string& path) const;
  // Waits until no page of the KV cache is in use; false: some are after a
  // minute. A client has its status before the server has ended the call.
  bool PagesAreFree();
  // Waits until Metric(series) is `value`; false: it is not after a minute.
  // Requests are counted once their calls have ended, after their replies.
  bool MetricBecomes(const std::string& series, double value) const;
  // The sum over the series of /metrics that begin with `series`; -1 where
  // there is none.
  double Metric(const std::string& series) const;

 private:
  const std::string folder_;
  pid_t pid_ = -1;
  int exit_code_ = -1;
  int port_ = 0;
  int http_port_ = 0;
  std::unique_ptr<v1::CompletionService::Stub> stub_;
};

}  // namespace seer

#endif  // SEER_TESTS_E2E_SERVER_PROCESS_H_
