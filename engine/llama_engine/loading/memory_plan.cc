#include "engine/llama_engine/loading/memory_plan.h"

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace seer {

absl::StatusOr<MemoryPlan> PlanMemory(const MemoryNeeds& needs) {
  const int64_t share = static_cast<int64_t>(
      needs.kv_fraction * static_cast<double>(needs.free_bytes));
  MemoryPlan plan;
  plan.num_pages = std::min<int64_t>(share / needs.bytes_per_page,
                                     std::numeric_limits<int32_t>::max());
  plan.page_bytes = plan.num_pages * needs.bytes_per_page;
  if (plan.num_pages < 1) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the device has ", needs.free_bytes, " bytes free beside the weights; ",
        "kv_memory_fraction ", needs.kv_fraction, " of them is less than one ",
        "page of ", needs.bytes_per_page));
  }
  const int64_t left = needs.free_bytes - plan.page_bytes;
  if (left < needs.step_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the device has ", needs.free_bytes, " bytes free beside the weights; ",
        "kv_memory_fraction ", needs.kv_fraction, " leaves ", left,
        " for a step, which may take ", needs.step_bytes,
        ": lower kv_memory_fraction, max_step_tokens or max_running"));
  }
  return plan;
}

}  // namespace seer
