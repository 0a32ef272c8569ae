// What one step of the engine computes.
#ifndef SEER_ENGINE_SCHEDULER_STEP_PLAN_H_
#define SEER_ENGINE_SCHEDULER_STEP_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/kv_cache/page_allocator.h"

namespace seer {

// Chosen by the caller, who uses each once.
using RequestId = uint64_t;

// Rows of one choice of a request: positions
// [position_begin, position_begin + num_tokens), all prompt or all generated
// (see kernels/ragged_batch.h). The prompt belongs to choice 0.
struct PlannedSlice {
  RequestId request = 0;
  int32_t choice = 0;
  int32_t position_begin = 0;
  int32_t num_tokens = 0;  // generated slices: 1
  int32_t prompt_len = 0;
  // Page of each block, up to the slice's last position.
  absl::Span<const PageId> page_table;

  bool is_prompt() const { return position_begin < prompt_len; }
  // Its last row gives the logits that every choice's first token is drawn
  // from.
  bool ends_prompt() const { return position_begin + num_tokens == prompt_len; }
};

// The whole page, of every layer, keys, values and pools.
struct PageCopy {
  PageId source = 0;
  PageId target = 0;
};

// What the time of a step follows from. Blocks are those that one query head
// reads, on average, over all tiles or rows.
struct StepWork {
  int64_t prompt_tokens = 0;
  int64_t prompt_blocks = 0;
  int64_t scored_tokens = 0;  // of the prompt tokens: their logits are wanted
  int64_t decode_rows = 0;
  int64_t decode_blocks = 0;
};

// `copies` are made before any row of the step writes. Prompt slices stand
// before generated ones, each group in order of arrival.
struct StepPlan {
  std::vector<PageCopy> copies;
  std::vector<PlannedSlice> slices;
  StepWork work;
  absl::Duration predicted_time;  // of computing it

  bool empty() const { return slices.empty(); }
  int64_t num_tokens() const { return work.prompt_tokens + work.decode_rows; }
};

}  // namespace seer

#endif  // SEER_ENGINE_SCHEDULER_STEP_PLAN_H_
