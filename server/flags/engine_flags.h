// Flags of the model and of the engine.
#ifndef SEER_SERVER_FLAGS_ENGINE_FLAGS_H_
#define SEER_SERVER_FLAGS_ENGINE_FLAGS_H_

#include "absl/status/statusor.h"
#include "engine/llama_engine_options.h"

namespace seer {

// INVALID_ARGUMENT names a value that is out of its range.
absl::StatusOr<LlamaEngineOptions> ReadEngineFlags();

}  // namespace seer

#endif  // SEER_SERVER_FLAGS_ENGINE_FLAGS_H_
