#ifndef SEER_SERVER_CALIBRATION_JOBS_JOB_PARTS_H_
#define SEER_SERVER_CALIBRATION_JOBS_JOB_PARTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/calibrator.h"
#include "engine/engine.h"
#include "engine/gate_control.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/catalog/catalog.h"
#include "server/metrics/calibration_metrics.h"

namespace seer {

// What jobs are run with. Everything is borrowed.
struct JobParts {
  Catalog* catalog = nullptr;
  Engine* engine = nullptr;
  Calibrator* calibrator = nullptr;
  GateControl* gates = nullptr;
  const Tokenizer* tokenizer = nullptr;
  CalibrationMetrics* metrics = nullptr;
};

struct JobOptions {
  // On the disk for scratch files: the catalog's. Nothing stays in it.
  std::string folder;

  // Between two checkpoints: what a crash costs, against what writing them
  // does. [10 ms, 24 h].
  absl::Duration checkpoint_period = absl::Minutes(5);
  // After a checkpoint, or the start of a job, that the disk refused.
  // [10 ms, 1 h].
  absl::Duration retry_delay = absl::Seconds(30);
  // How long a job that is paused may work on for its checkpoint, which comes
  // at the end of an optimizer step; after that the one before stays.
  // [0, 1 h].
  absl::Duration checkpoint_wait = absl::Minutes(2);
  // How long to wait for room for one gate set more before its perplexity is
  // left unmeasured. [0, 24 h].
  absl::Duration gate_slot_wait = absl::Minutes(10);
  // How often a running job is looked at: how late a wish is noticed.
  // [1 ms, 1 s].
  absl::Duration poll_period = absl::Milliseconds(50);

  // INVALID_ARGUMENT: an option out of its range, named.
  absl::Status Validate() const;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_JOB_PARTS_H_
