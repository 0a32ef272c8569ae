// One sequence's part of a step, as the model takes it.
#ifndef SEER_ENGINE_MODEL_BATCH_BATCH_SEQUENCE_H_
#define SEER_ENGINE_MODEL_BATCH_BATCH_SEQUENCE_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "engine/gate/gate_state.h"
#include "engine/gate/policy/selection_plan.h"
#include "engine/model/batch/row_draw.h"
#include "engine/sparsity_policy.h"
#include "engine/token.h"

namespace seer {

// The rows of a sequence whose logits are wanted.
enum class LogitsRows { kNone, kLast, kAll };

// Rows at positions [position_begin, position_begin + tokens.size()), all of
// the prompt or all generated, with the limits of SequenceSlice
// (kernels/ragged_batch.h). What is read is borrowed for the
// launch, this struct and what is written until the step is finished.
struct BatchSequence {
  absl::Span<const TokenId> tokens;  // >= 1, each in [0, vocab_size)
  // Set: the only token, of a generated row, is one that the step launched
  // before draws, and need not come to the host first; `tokens` has one id that
  // is not read.
  struct DrawnBy {
    int32_t sequence = 0;  // of that step
    int32_t draw = 0;      // of that sequence
  };
  std::optional<DrawnBy> drawn_by;
  int32_t position_begin = 0;
  int32_t prompt_len = 0;
  absl::Span<const int32_t>
      page_table;  // page of each block up to the last row

  // How a prompt's tiles choose blocks. `plan` null or dense: they read
  // everything, and no gate is needed; by an oracle: no gate either. Not read
  // for generated rows.
  const SelectionPlan* plan = nullptr;
  const GateState* gate = nullptr;

  LogitsRows logits = LogitsRows::kNone;

  // Tokens to be drawn from the last row, on the device: of the row only they
  // come to the host, when the step is finished.
  absl::Span<const RowDraw> draws;
  TokenId* drawn = nullptr;  // out, [draws.size()]; as SampleTokensArgs::ids

  // Tokens whose scores are wanted: of row i of the slice. Likewise.
  absl::Span<const TokenId> scored;  // each in [0, vocab_size)
  RowScore* scores = nullptr;        // out, [scored.size()]
  RowScore* drawn_scores = nullptr;  // out, [draws.size()]; null: not wanted
  int32_t num_top = 0;               // of each score; 0..kMaxTopTokens

  // Out, null: not wanted: [num_layers]; the blocks that the prompt tiles of
  // this step see and read are added when it is finished.
  LayerBlocks* blocks = nullptr;

  bool is_prompt() const { return position_begin < prompt_len; }
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_BATCH_BATCH_SEQUENCE_H_
