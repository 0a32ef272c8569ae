// All flags but the engine's.
#ifndef SEER_SERVER_FLAGS_SERVE_FLAGS_H_
#define SEER_SERVER_FLAGS_SERVE_FLAGS_H_

#include "absl/status/statusor.h"
#include "engine/llama_engine_options.h"
#include "server/serve.h"

namespace seer {

// INVALID_ARGUMENT: a value that is out of its range, or does not go with the
// others or with what flags say of the engine.
absl::StatusOr<ServeOptions> ReadServeFlags(const LlamaEngineOptions& engine);

}  // namespace seer

#endif  // SEER_SERVER_FLAGS_SERVE_FLAGS_H_
