#ifndef SEER_ENGINE_LLAMA_ENGINE_LOADING_WARM_UP_H_
#define SEER_ENGINE_LLAMA_ENGINE_LOADING_WARM_UP_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/gate/gate_state.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/model/llama_model.h"

namespace seer {

struct WarmUpArgs {
  LlamaModel* model = nullptr;
  const KvCache* cache = nullptr;  // >= 1 page, in use by nobody; written
  // On the model's device, for pages as the cache has; may be none.
  std::vector<const GateState*> gates;
  int64_t max_step_tokens = 0;  // of a step's prompt rows, >= 1
  int64_t max_running = 0;      // generated rows of a step, >= 1
};

// Steps as requests will ask for them, whose results are thrown away: a prompt
// that fills a step, under each gate, then generated rows, in every number that
// a GPU has kernels of its own for. Libraries and kernels are loaded, and the
// allocator has what a large step takes, before a request waits for them. On
// the thread that is to step the model: libraries keep their state by thread.
//
// No request reads what it leaves in pages. Errors are those of
// LlamaModel::Forward; RESOURCE_EXHAUSTED: the largest step does not fit.
absl::Status WarmUp(const WarmUpArgs& args);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_LOADING_WARM_UP_H_
