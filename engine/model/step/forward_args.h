// What one forward pass takes and gives.
#ifndef SEER_ENGINE_MODEL_STEP_FORWARD_ARGS_H_
#define SEER_ENGINE_MODEL_STEP_FORWARD_ARGS_H_

#include <cstdint>
#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/model/batch/batch_sequence.h"
#include "kernels/block_sets.h"
#include "kernels/ragged_batch.h"

namespace seer {

// Consecutive wanted rows of a step. Valid during the call it is given to.
struct LogitsBlock {
  struct Row {
    int32_t sequence = 0;  // index in the batch
    int32_t position = 0;  // in the sequence
  };
  absl::Span<const Row> rows;
  const float* logits = nullptr;  // [rows.size(), vocab_size]
};

// What one layer computed, for tests: copies in the host's memory. Valid
// during the call it is given to.
struct LayerTrace {
  int32_t layer = 0;
  RaggedBatch batch;
  // dtype [num_rows, Hq + 2 Hk, D]: queries, keys, values, before RoPE.
  const void* qkv = nullptr;
  // Logits of the scored tiles, as GateScoreArgs::logits; null: no gate ran.
  const float* gate_logits = nullptr;
  int32_t gate_logits_row_len = 0;
  BlockSets sets;  // bits null: every tile reads everything
};

struct ForwardArgs {
  // >= 1; to stay where they are until the step is finished.
  absl::Span<const BatchSequence> sequences;
  const KvCache* cache = nullptr;  // read and written; on the model's device
  // Called with the wanted rows in order, a block at a time, before the launch
  // returns; an error ends the pass and is returned. Runs on the calling
  // thread.
  absl::FunctionRef<absl::Status(const LogitsBlock&)> on_logits;
  std::function<void(const LayerTrace&)> trace;  // empty: none
};

struct ForwardReport {
  // The device's, from the step before it if that still ran.
  absl::Duration total_time;
  // Of it, over all layers; zero for steps that were replayed.
  absl::Duration prepare_time;    // RoPE, page writes and pooling
  absl::Duration gate_time;       // scoring and selection
  absl::Duration attention_time;  // attention itself, without projections
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_FORWARD_ARGS_H_
