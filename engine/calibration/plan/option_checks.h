// Which calibration options can be run. No torch.
#ifndef SEER_ENGINE_CALIBRATION_PLAN_OPTION_CHECKS_H_
#define SEER_ENGINE_CALIBRATION_PLAN_OPTION_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/calibration/training_options.h"
#include "engine/calibrator.h"

namespace seer {

// INVALID_ARGUMENT with the field (FieldOf): a value is out of the range that
// calibrator.h states, sequences_per_step is above 65536, or what is written
// into the file could not be read there (engine/gate/gate_provenance.h).
absl::Status CheckCalibrationOptions(const CalibrationOptions& options,
                                     int64_t context_len);

// FAILED_PRECONDITION, DATASET_TOO_SHORT with limit and got in sequences: there
// are fewer than one to train on and one to hold out.
absl::Status CheckSequences(const TokenSequences& sequences);

// Of options that are in range.
GateLoss GateLossOf(const CalibrationOptions& options);
TrainingOptions TrainingOptionsOf(const CalibrationOptions& options);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_PLAN_OPTION_CHECKS_H_
