// A step's arrays as kernels and operators read them, on the device. No torch.
#ifndef SEER_ENGINE_MODEL_BATCH_STEP_INPUTS_H_
#define SEER_ENGINE_MODEL_BATCH_STEP_INPUTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/device/transfer_buffer.h"
#include "engine/model/batch/batch_layout.h"
#include "kernels/attention/attention_plan.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/ragged_batch.h"
#include "kernels/sample_tokens/token_draw.h"

namespace seer {

// Every pointer is the device's.
struct StepInputs {
  RaggedBatch batch;
  AttentionPlan plan;
  const int32_t* tokens = nullptr;  // [num_rows], as BatchLayout::tokens()
  // Packed rows: of the layout's logits_rows(), then of its scored(), then of
  // sequences that have draws().
  const int64_t* wanted_rows = nullptr;
  int32_t num_drawn_rows = 0;

  // The layout's draws(), each naming its row among those drawn from; with
  // `min_rows` one a row instead, by its packed row, idle where there is none.
  const TokenDraw* draws = nullptr;  // [num_draws]
  int32_t num_draws = 0;
  const TokenAdjustment* adjustments =
      nullptr;  // as far as the draws name them
  // The draws' rows once more; -1: of a draw whose score is not wanted.
  const int32_t* scored_rows = nullptr;    // [num_draws]
  const int32_t* scored_tokens = nullptr;  // of the layout's scored()

  // Of the layout's gates(), in their order: the tiles that each scores.
  std::vector<const int32_t*> tile_indices;
  // Of the layout's oracles(), in their order: the plan of the range as a batch
  // of its own.
  std::vector<AttentionPlan> oracle_plans;
  // [num_layers], each [num_sequences]; empty where nothing is selected.
  std::vector<const SelectionRule*> rules;
};

// What ids and pages must stay below.
struct StepLimits {
  int32_t num_layers = 0;
  int32_t num_query_heads = 0;
  int32_t vocab_size = 0;
  int64_t num_pages = 0;
  int64_t context_len = 0;
};

// `min_rows` is for a step of one generated row a sequence, or 0: the batch
// then has at least so many rows, sequences and tiles, of which those beyond
// the step's own are token 0 and tiles of no rows, and what `batch`, `tokens`,
// `draws` and `adjustments` point to depends only on the buffer and on how many
// those are.
//
// Checks the step, which a GPU's kernels do not, packs its arrays and enqueues
// their one copy to the device. Valid until `buffer` is used again, for which
// the device must be done with this step.
// INVALID_ARGUMENT: a page, token or position out of its limits, or a batch
// that is not as kernels/ragged_batch.h describes it.
absl::StatusOr<StepInputs> SendStepInputs(const BatchLayout& layout,
                                          const StepLimits& limits,
                                          TransferBuffer* buffer,
                                          int32_t min_rows = 0);

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_BATCH_STEP_INPUTS_H_
