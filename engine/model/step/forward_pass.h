// One forward pass: the batch, its buffers, and the layers in order.
#ifndef SEER_ENGINE_MODEL_STEP_FORWARD_PASS_H_
#define SEER_ENGINE_MODEL_STEP_FORWARD_PASS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "engine/model/batch/batch_layout.h"
#include "engine/model/batch/step_inputs.h"
#include "engine/model/layer/residual.h"
#include "engine/model/layer/row_ops.h"
#include "engine/model/parts/llama_weights.h"
#include "engine/model/parts/model_parts.h"
#include "engine/model/step/forward_args.h"
#include "engine/model/step/launched_step.h"
#include "engine/model/step/step_results.h"
#include "engine/weights/model_config.h"
#include "kernels/attention/attention.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/block_sets.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/gate_score/gate_score.h"
#include "kernels/paged_kv.h"
#include "kernels/top_tokens/top_tokens.h"

namespace seer {

// Enqueues a step's work layer by layer. Waits for the device only where logits
// come back to the host.
class ForwardPass {
 public:
  ForwardPass(const ModelParts& model, const ForwardArgs& args,
              BatchLayout layout, DeviceClock* clock);

  // Once. Throws what ATen throws. After an error the device may still work on
  // what was enqueued.
  absl::StatusOr<LaunchedStep::Work> Launch();

 private:
  // Sends the inputs and begins the residual stream with the tokens' rows.
  absl::Status Send(Residual& residual);
  void MakeTensors();
  absl::Status RunLayers(Residual& residual);
  absl::Status RunAttention(int32_t layer, const at::Tensor& qkv);
  absl::Status Prepare(const PagedKv& kv, const at::Tensor& qkv);
  // Fills sets_ for the layer.
  absl::Status Select(int32_t layer, const PagedKv& kv);
  // The arguments of one gate's tiles.
  GateScoreArgs ScoreOf(int32_t layer, size_t group, const PagedKv& kv) const;
  // The true attention in an oracle's range of tiles.
  AttentionPoolingArgs OracleOf(size_t range, const PagedKv& kv) const;
  absl::Status AskOracle(size_t range, const PagedKv& kv) const;
  AttentionArgs Attention(const PagedKv& kv) const;
  void Trace(int32_t layer, const at::Tensor& qkv) const;
  absl::Status EmitLogits(const Residual& residual);
  // Of wanted rows [first, first + count), dtype [count, vocab_size].
  absl::StatusOr<at::Tensor> LogitsOf(const Residual& residual, int64_t first,
                                      int64_t count) const;
  // The arguments that are those of any scores by `logits`, from place `first`
  // of the results on.
  TopTokensArgs ScoresOf(const at::Tensor& logits, int64_t first) const;
  // Draws by the drawn rows' logits, and scores what was drawn.
  absl::Status Draw(const at::Tensor& logits);

  at::Tensor Empty(at::IntArrayRef shape, at::ScalarType type) const;
  at::Tensor View(const void* data, at::IntArrayRef shape,
                  at::ScalarType type) const;
  bool selects() const { return layout_.selects(); }
  int64_t num_wanted_rows() const {
    return static_cast<int64_t>(layout_.logits_rows().size() +
                                layout_.scored().size()) +
           inputs_.num_drawn_rows;
  }
  int64_t ScoredRowsAtOnce() const;

  const ModelParts model_;
  const ForwardArgs& args_;
  const ModelConfig& config_;
  const Backend backend_;
  BatchLayout layout_;
  DeviceClock* const clock_;
  StepInputs inputs_;
  const RowOps rows_;
  StepResults results_;
  DeviceStream stream_;

  at::Tensor roped_queries_;   // dtype [num_rows, Hq, D]
  at::Tensor attention_;       // dtype [num_rows, Hq * D]
  at::Tensor pooled_queries_;  // fp32 [num_prompt_tiles, Hq, kNumPools, D]
  at::Tensor gate_logits_;     // fp32 [num_prompt_tiles, Hq, row_len]
  at::Tensor bits_;            // int64 [num_prompt_tiles, Hq, words]
  at::Tensor counts_;          // int32 [num_prompt_tiles, Hq]
  at::Tensor workspace_;       // of kernels, bytes
  BlockSets sets_;             // bits null: all dense
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_FORWARD_PASS_H_
