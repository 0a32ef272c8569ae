#include "server/watchdog.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/logging.h"

namespace seer {

Health HealthJudge::Judge(const EngineStats& stats, absl::Time now) {
  const bool busy = stats.requests_running > 0 || stats.requests_waiting > 0;
  if (!busy) {
    busy_since_.reset();
  } else if (!busy_since_) {
    busy_since_ = now;
  }
  const bool hangs =
      busy && now - std::max(*busy_since_, stats.last_step_time) > max_step_;
  Health health;
  health.alive = stats.healthy && !hangs;
  health.ready = health.alive && !stats.draining;
  return health;
}

absl::Status Watchdog::Options::Validate() const {
  if (period < absl::Milliseconds(1) || max_step <= period) {
    return absl::InvalidArgumentError(
        "the watchdog's limit on a step must exceed its period");
  }
  return absl::OkStatus();
}

Watchdog::Watchdog(const Engine* engine, Options options,
                   std::function<void(Health)> report)
    : engine_(engine),
      options_(options),
      report_(std::move(report)),
      judge_(options.max_step) {
  const Health health = judge_.Judge(engine_->Stats(), absl::Now());
  {
    MutexLock lock(&mutex_);
    health_ = health;
  }
  report_(health);
  thread_ = std::thread([this] { Run(); });
}

Watchdog::~Watchdog() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    stopped_.NotifyAll();
  }
  thread_.join();
}

Health Watchdog::health() const {
  MutexLock lock(&mutex_);
  return health_;
}

void Watchdog::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (!stopping_) stopped_.WaitWithTimeout(&mutex_, options_.period);
      if (stopping_) return;
    }
    Look();
  }
}

void Watchdog::TurnReadinessOff() {
  {
    MutexLock lock(&mutex_);
    readiness_off_ = true;
  }
  Look();
}

void Watchdog::Look() {
  MutexLock look(&look_mutex_);
  Health health = judge_.Judge(engine_->Stats(), absl::Now());
  {
    MutexLock lock(&mutex_);
    if (readiness_off_) health.ready = false;
    if (health == health_) return;
    health_ = health;
  }
  Log(health.alive ? LogLevel::kWarning : LogLevel::kError, "health changed",
      {{"alive", health.alive}, {"ready", health.ready}});
  report_(health);
}

}  // namespace seer
