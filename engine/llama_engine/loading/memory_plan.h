// How a device with memory of its own shares it out at start.
#ifndef SEER_ENGINE_LLAMA_ENGINE_LOADING_MEMORY_PLAN_H_
#define SEER_ENGINE_LLAMA_ENGINE_LOADING_MEMORY_PLAN_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace seer {

struct MemoryNeeds {
  int64_t free_bytes = 0;      // with the weights loaded
  double kv_fraction = 0.0;    // of them for pages; in (0, 1)
  int64_t bytes_per_page = 0;  // over all layers, gate entries included; >= 1
  int64_t step_bytes = 0;      // what the largest step takes
};

struct MemoryPlan {
  int64_t num_pages = 0;   // >= 1, < 2^31
  int64_t page_bytes = 0;  // of them all
};

// RESOURCE_EXHAUSTED: not a page fits the share, or what is left is too little
// for a step; the message has the numbers and what to change.
absl::StatusOr<MemoryPlan> PlanMemory(const MemoryNeeds& needs);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_LOADING_MEMORY_PLAN_H_
