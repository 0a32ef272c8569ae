#ifndef SEER_SERVER_TERMINATION_SIGNALS_H_
#define SEER_SERVER_TERMINATION_SIGNALS_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/thread/mutex.h"

namespace seer {

// SIGTERM and SIGINT as requests to stop. Make one before any other thread is
// started, so that no thread takes the signals the usual way; one a process.
//
// The first signal is for whoever waits; while nobody may wait yet (see Arm) it
// ends the process at once, as does the second at any time, with the exit code
// 128 + the signal.
class TerminationSignals {
 public:
  TerminationSignals();
  ~TerminationSignals();
  TerminationSignals(const TerminationSignals&) = delete;
  TerminationSignals& operator=(const TerminationSignals&) = delete;

  // From now on the first signal ends Wait instead of the process.
  void Arm();

  // Waits for the first signal, and returns it. After Arm.
  int Wait();

 private:
  void Run();

  Mutex mutex_;
  CondVar arrived_;
  bool armed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int first_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace seer

#endif  // SEER_SERVER_TERMINATION_SIGNALS_H_
