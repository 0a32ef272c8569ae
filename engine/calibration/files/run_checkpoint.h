// What a calibration run goes on from, as bytes. No torch.
#ifndef SEER_ENGINE_CALIBRATION_FILES_RUN_CHECKPOINT_H_
#define SEER_ENGINE_CALIBRATION_FILES_RUN_CHECKPOINT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/calibration/training/checkpoint.h"
#include "engine/calibrator.h"
#include "kernels/dtype.h"

namespace seer {

// A run between two optimizer steps, or behind the last.
struct RunState {
  int64_t step = 0;            // optimizer steps done
  int64_t validated_step = 0;  // when validation was last measured; 0: never
  Checkpoint tensors;          // the trainers' and the history's
};

// The engine that a run is on.
struct RunEngine {
  std::string fingerprint;  // of the base model
  DType dtype = DType::kFloat32;
  std::string device;  // its kind, "cpu" or "cuda"
};

// What a run is: whatever its result depends on, but for devices of one kind
// that are not alike (sums are split by the threads of a CPU). Of the sequences
// it reads the first and the last. The errors of TokenSequences::Read.
absl::StatusOr<std::string> RunIdentity(const CalibrationOptions& options,
                                        const TokenSequences& sequences,
                                        const RunEngine& engine);

// A safetensors file that tells whether it is whole, and whose it is.
absl::StatusOr<std::string> SerializeRunState(const RunState& state,
                                              const std::string& identity);

// INVALID_ARGUMENT: another run's; or, with reason CHECKPOINT_DAMAGED, not the
// bytes that SerializeRunState made.
absl::StatusOr<RunState> ParseRunState(const std::string& bytes,
                                       const std::string& identity);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_FILES_RUN_CHECKPOINT_H_
