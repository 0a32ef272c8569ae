#ifndef SEER_TESTS_E2E_ENDLESS_STREAMS_H_
#define SEER_TESTS_E2E_ENDLESS_STREAMS_H_

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proto/seer/v1/completion.grpc.pb.h"
#include "tests/e2e/server_process.h"

namespace seer {

// Sparse streams that name no gate and run one after the other on many
// connections, and which gate set served them. Thread-safe.
class EndlessStreams {
 public:
  // While what requests use changes: streams that see it are of no phase.
  static constexpr int kChanging = -1;

  // `num_streams` at any time, of the model "tiny". `server` is borrowed, and
  // serves as long as this lives.
  EndlessStreams(ServerProcess& server, int num_streams);
  ~EndlessStreams();

  void SetPhase(int phase) { phase_ = phase; }
  // Waits until so many streams ran wholly within a phase, or one has failed.
  void WaitFor(int phase, int count);

  // Streams that ran wholly within a phase, by gate version; the versions.
  std::map<std::string, int> served(int phase);
  std::set<std::string> versions(int phase);
  // That every one so far was served to its end by the gate set that it names.
  void ExpectNoFailures();

 private:
  void RunOne(v1::CompletionService::Stub& stub, int seed);

  std::atomic<int> phase_{kChanging};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::map<int, std::map<std::string, int>> served_;
  std::vector<std::string> failures_;
  std::vector<std::thread> threads_;
};

}  // namespace seer

#endif  // SEER_TESTS_E2E_ENDLESS_STREAMS_H_
