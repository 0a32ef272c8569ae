// Turns SIGINT and SIGTERM into cancels of the call that runs.
#ifndef SEER_CLIENT_INTERRUPTS_H_
#define SEER_CLIENT_INTERRUPTS_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/thread/mutex.h"
#include "client/connection/canceller.h"

namespace seer {

// The first signal during a call cancels it. A signal at any other time, and
// a second one during a call, ends the process with `exit_code`.
class Interrupts {
 public:
  // Blocks the signals in this thread and in those it starts from now on: to
  // be made in main, first.
  explicit Interrupts(int exit_code);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // While it lives, signals use `canceller`. One at a time.
  class Scope {
   public:
    // `interrupts` may be null.
    Scope(Interrupts* interrupts, Canceller* canceller);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Interrupts* const interrupts_;
  };

 private:
  void Watch();
  void OnSignal();

  const int exit_code_;
  Mutex mutex_;
  Canceller* canceller_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace seer

#endif  // SEER_CLIENT_INTERRUPTS_H_
