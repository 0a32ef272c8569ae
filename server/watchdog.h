#ifndef SEER_SERVER_WATCHDOG_H_
#define SEER_SERVER_WATCHDOG_H_

#include <functional>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/engine.h"

namespace seer {

// What probes are told.
struct Health {
  bool alive = true;  // restart the process where it is not
  bool ready = true;  // send it requests
  bool operator==(const Health& other) const {
    return alive == other.alive && ready == other.ready;
  }
};

// Judges an engine from one look at its Stats to the next. Not thread-safe.
class HealthJudge {
 public:
  // The engine hangs when it has work and no step has ended for `max_step`.
  explicit HealthJudge(absl::Duration max_step) : max_step_(max_step) {}

  Health Judge(const EngineStats& stats, absl::Time now);

 private:
  const absl::Duration max_step_;
  // Since when every look found work; an idle engine ends no step either.
  std::optional<absl::Time> busy_since_;
};

// Looks at an engine again and again, and reports when its health changes.
class Watchdog {
 public:
  struct Options {
    absl::Duration period = absl::Seconds(1);
    absl::Duration max_step = absl::Seconds(120);
    absl::Status Validate() const;
  };

  // `engine` is borrowed; its Stats must not wait for a step. `report` is
  // called with the first verdict before the constructor returns, later from
  // the watchdog's thread or TurnReadinessOff's, one call at a time.
  Watchdog(const Engine* engine, Options options,
           std::function<void(Health)> report);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Not ready from now on, whatever the engine says; reports before it
  // returns. Thread-safe.
  void TurnReadinessOff();

  // The last verdict. Thread-safe.
  Health health() const;

 private:
  void Run();
  void Look();

  const Engine* const engine_;
  const Options options_;
  const std::function<void(Health)> report_;

  Mutex look_mutex_;  // held through a look and its report
  HealthJudge judge_ ABSL_GUARDED_BY(look_mutex_);

  mutable Mutex mutex_;
  CondVar stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool readiness_off_ ABSL_GUARDED_BY(mutex_) = false;
  Health health_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace seer

#endif  // SEER_SERVER_WATCHDOG_H_
