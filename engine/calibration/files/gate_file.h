// What a calibration ends with: the tensors of a gate set file. No torch.
#ifndef SEER_ENGINE_CALIBRATION_FILES_GATE_FILE_H_
#define SEER_ENGINE_CALIBRATION_FILES_GATE_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/calibration/files/tensor_file.h"
#include "engine/calibrator.h"
#include "engine/gate/attn_gate.h"
#include "engine/gate/budget_profile.h"
#include "engine/gate/gate.h"

namespace seer {

// Metadata as LoadGateSet (engine/gate/gate_set.h) reads it, and where the file
// comes from: target and loss only where there are weights to learn by them.
// `fingerprint`: the base model's.
TensorFile MakeGateFile(const CalibrationOptions& options,
                        int64_t num_sequences, absl::string_view fingerprint);

// A layer's projections, which have the shape's dtype, as bfloat16.
void AddGateLayer(const GateShape& shape, int32_t layer,
                  const AttnGateWeights& weights, TensorFile* file);

// The profile's values at `densities`.
void AddBudgetProfile(const BudgetProfile& profile,
                      const std::vector<float>& densities, TensorFile* file);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_FILES_GATE_FILE_H_
