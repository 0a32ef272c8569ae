// The identity of a base model: what a gate set was trained for.
#ifndef SEER_ENGINE_WEIGHTS_FINGERPRINT_H_
#define SEER_ENGINE_WEIGHTS_FINGERPRINT_H_

#include <string>

#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"

namespace seer {

// The config's lines that the fingerprint covers, each ended by a newline:
// `seer-fingerprint-v1`, then key=value.
std::string FingerprintConfigLines(const ModelConfig& config);

// SHA-256, lower-case hex, over FingerprintConfigLines and then every tensor in
// name order: `name\n`, dims joined by `x` and `\n`, and the values as
// little-endian bf16, rounded to nearest even where stored wider (f16 by way of
// f32). Reads all weights: seconds for a GB.
std::string Fingerprint(const ModelConfig& config, const WeightFiles& weights);

}  // namespace seer

#endif  // SEER_ENGINE_WEIGHTS_FINGERPRINT_H_
