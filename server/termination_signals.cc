#include "server/termination_signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/logging.h"

namespace seer {
namespace {

// Beside the two, the destructor's word to the waiting thread.
constexpr int kStop = SIGUSR1;

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, kStop);
  return signals;
}

}  // namespace

TerminationSignals::TerminationSignals() {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A connection that its client closed is an error to handle, not the end.
  signal(SIGPIPE, SIG_IGN);
  thread_ = std::thread([this] { Run(); });
}

TerminationSignals::~TerminationSignals() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  pthread_kill(thread_.native_handle(), kStop);
  thread_.join();
}

void TerminationSignals::Run() {
  const sigset_t signals = Signals();
  while (true) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    MutexLock lock(&mutex_);
    if (stopping_) return;
    if (number == kStop) continue;
    if (!armed_ || first_ != 0) {
      Log(LogLevel::kWarning, "stopped at once by a signal",
          {{"signal", number}});
      _exit(128 + number);
    }
    first_ = number;
    arrived_.NotifyAll();
  }
}

void TerminationSignals::Arm() {
  MutexLock lock(&mutex_);
  armed_ = true;
}

int TerminationSignals::Wait() {
  MutexLock lock(&mutex_);
  while (first_ == 0) arrived_.Wait(&mutex_);
  return first_;
}

}  // namespace seer
