// The rotary embedding of a config.json.
#ifndef SEER_ENGINE_WEIGHTS_ROPE_JSON_H_
#define SEER_ENGINE_WEIGHTS_ROPE_JSON_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/text/json_view.h"
#include "kernels/rope.h"

namespace seer {

// Reads rope_theta and rope_scaling, or rope_parameters, which holds both in
// newer files. `config` is the whole file; head_dim and context_len
// (max_position_embeddings) are its checked values.
// INVALID_ARGUMENT: a missing or unknown key, a value out of range, two places
// that disagree; UNIMPLEMENTED: a type other than default, linear, llama3 and
// yarn. The place is named.
absl::StatusOr<RopeConfig> ParseRope(const JsonView& config, int32_t head_dim,
                                     int64_t context_len);

}  // namespace seer

#endif  // SEER_ENGINE_WEIGHTS_ROPE_JSON_H_
