// The forward pass of a Llama over a ragged batch.
#ifndef SEER_ENGINE_MODEL_LLAMA_MODEL_H_
#define SEER_ENGINE_MODEL_LLAMA_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/executor.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/model/batch_sequence.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "kernels/block_sets.h"
#include "kernels/dtype.h"
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

// What one layer computed, for tests. Valid during the call it is given to.
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
  absl::Span<const BatchSequence> sequences;  // >= 1
  const KvCache* cache = nullptr;             // read and written
  // Called with the wanted rows in order, a block at a time; an error ends the
  // pass and is returned. Runs on the calling thread.
  absl::FunctionRef<absl::Status(const LogitsBlock&)> on_logits;
  std::function<void(const LayerTrace&)> trace;  // empty: none
};

struct ForwardReport {
  // Over all layers.
  absl::Duration prepare_time;    // RoPE, page writes and pooling
  absl::Duration gate_time;       // scoring and selection
  absl::Duration attention_time;  // attention itself, without projections
};

// Not thread-safe: one call at a time, on the thread whose ATen threads the
// executor uses.
class LlamaModel {
 public:
  // `executor` runs the kernels; borrowed for the model's life.
  // INVALID_ARGUMENT: rope parameters out of range. RESOURCE_EXHAUSTED,
  // INTERNAL: the weights cannot be loaded.
  static absl::StatusOr<std::unique_ptr<LlamaModel>> Load(
      const ModelConfig& config, const WeightFiles& files, DType dtype,
      Executor* executor);

  ~LlamaModel();
  LlamaModel(const LlamaModel&) = delete;
  LlamaModel& operator=(const LlamaModel&) = delete;

  // Computes the rows and writes their keys, values and pools to the cache.
  // Norms round as Hugging Face's do; residuals are in the model's dtype.
  // Logits come in row blocks, so that a prompt's are never held whole.
  // INVALID_ARGUMENT: a sequence out of its limits. INTERNAL: an operator
  // failed. After an error the cache's pages of these sequences are undefined.
  absl::StatusOr<ForwardReport> Forward(const ForwardArgs& args);

  const ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }
  int64_t weight_bytes() const;

 private:
  struct Tensors;
  class Pass;

  LlamaModel(const ModelConfig& config, DType dtype, Executor* executor);

  const ModelConfig config_;
  const DType dtype_;
  Executor* const executor_;
  std::unique_ptr<Tensors> tensors_;  // weights and rope tables
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LLAMA_MODEL_H_
