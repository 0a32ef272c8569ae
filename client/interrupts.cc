#include "client/interrupts.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace seer {
namespace {

sigset_t WatchedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

Interrupts::Interrupts(int exit_code) : exit_code_(exit_code) {
  const sigset_t signals = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::thread([this] { Watch(); });
}

Interrupts::~Interrupts() {
  {
    MutexLock lock(&mutex_);
    closing_ = true;
  }
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

void Interrupts::Watch() {
  const sigset_t signals = WatchedSignals();
  while (true) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    {
      MutexLock lock(&mutex_);
      if (closing_) return;
    }
    OnSignal();
  }
}

void Interrupts::OnSignal() {
  MutexLock lock(&mutex_);
  if (canceller_ == nullptr || canceller_->cancelled()) {
    // Other threads are at work: nothing may be torn down under them.
    _exit(exit_code_);
  }
  canceller_->Cancel();
}

Interrupts::Scope::Scope(Interrupts* interrupts, Canceller* canceller)
    : interrupts_(interrupts) {
  if (interrupts_ == nullptr) return;
  MutexLock lock(&interrupts_->mutex_);
  interrupts_->canceller_ = canceller;
}

Interrupts::Scope::~Scope() {
  if (interrupts_ == nullptr) return;
  MutexLock lock(&interrupts_->mutex_);
  interrupts_->canceller_ = nullptr;
}

}  // namespace seer
