// What a job goes on from, as the catalog's checkpoint file holds it:
//
//   "SEERJOB1"
//   length, bytes: the base model's fingerprint
//   a byte: 0, training goes on; 1, it is done
//   0: the rest is the calibrator's checkpoint
//   1: the calibrator's result, its members in the order of their declaration
//
// Lengths and counts are uint64, numbers int64 or IEEE 754 double, all
// little-endian.
#ifndef SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_CHECKPOINT_H_
#define SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_CHECKPOINT_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/calibrator.h"

namespace seer {

struct JobCheckpoint {
  std::string fingerprint;
  // The calibrator's bytes, empty at the very beginning; or what it came to,
  // whose quality is still to be completed.
  std::variant<std::string, CalibrationResult> reached;
};

// What goes before a calibrator's bytes, which are not copied.
std::string TrainingHeader(absl::string_view fingerprint);
std::string SerializeTrained(absl::string_view fingerprint,
                             const CalibrationResult& result);

// FAILED_PRECONDITION, CHECKPOINT_DAMAGED: nothing that these have made.
absl::StatusOr<JobCheckpoint> ParseJobCheckpoint(absl::string_view bytes);

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RUN_JOB_CHECKPOINT_H_
