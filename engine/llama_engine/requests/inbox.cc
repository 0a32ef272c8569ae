#include "engine/llama_engine/requests/inbox.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {

absl::Status Inbox::CheckOpenLocked() const {
  if (unhealthy_) return absl::InternalError("the engine has failed");
  if (draining_ || stop_) {
    return WithReason(
        WithRetryDelay(absl::UnavailableError("draining"), absl::Seconds(1)),
        {"DRAINING", std::nullopt, std::nullopt});
  }
  return absl::OkStatus();
}

absl::Status Inbox::CheckOpen() const {
  MutexLock lock(&mutex_);
  return CheckOpenLocked();
}

absl::Status Inbox::Add(std::unique_ptr<RequestRun> run) {
  {
    MutexLock lock(&mutex_);
    SEER_RETURN_IF_ERROR(CheckOpenLocked());
    added_.push_back(std::move(run));
    ++num_live_;
  }
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::Status Inbox::RunBetweenSteps(std::function<absl::Status()> task) {
  Task order(std::move(task));
  std::future<absl::Status> done = order.get_future();
  {
    MutexLock lock(&mutex_);
    if (unhealthy_) return absl::InternalError("the engine has failed");
    if (stop_) return absl::UnavailableError("the engine has stopped");
    tasks_.push_back(std::move(order));
  }
  changed_.NotifyAll();
  return done.get();
}

void Inbox::Wake() {
  {
    MutexLock lock(&mutex_);
    woken_ = true;
  }
  changed_.NotifyAll();
}

Inbox::Orders Inbox::Take(absl::Time until) {
  MutexLock lock(&mutex_);
  while (added_.empty() && tasks_.empty() && !woken_ && !stop_) {
    const absl::Duration left = until - absl::Now();
    if (left <= absl::ZeroDuration()) break;
    changed_.WaitWithTimeout(&mutex_, left);
  }
  woken_ = false;
  Orders orders;
  orders.added = std::move(added_);
  added_.clear();
  orders.tasks = std::move(tasks_);
  tasks_.clear();
  orders.drain_deadline = drain_deadline_;
  orders.stop = stop_;
  return orders;
}

void Inbox::RecordEnded(int64_t count, bool cut) {
  {
    MutexLock lock(&mutex_);
    num_live_ -= count;
    cut_ = cut_ || cut;
  }
  ended_.NotifyAll();
}

Inbox::Drained Inbox::Drain(absl::Time deadline, absl::Duration grace) {
  {
    MutexLock lock(&mutex_);
    draining_ = true;
    drain_deadline_ = std::min(drain_deadline_, deadline);
    woken_ = true;
  }
  changed_.NotifyAll();
  MutexLock lock(&mutex_);
  while (num_live_ > 0) {
    const absl::Duration left = drain_deadline_ + grace - absl::Now();
    if (left <= absl::ZeroDuration()) return Drained::kStillRunning;
    ended_.WaitWithTimeout(&mutex_, left);
  }
  return cut_ ? Drained::kSomeCut : Drained::kAllFinished;
}

void Inbox::SetUnhealthy() {
  MutexLock lock(&mutex_);
  unhealthy_ = true;
}

bool Inbox::healthy() const {
  MutexLock lock(&mutex_);
  return !unhealthy_;
}

bool Inbox::draining() const {
  MutexLock lock(&mutex_);
  return draining_;
}

void Inbox::Stop() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
}

}  // namespace seer
