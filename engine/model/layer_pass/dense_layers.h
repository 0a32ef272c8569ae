// The arithmetic of a dense pass, a layer of a range of tiles at a time.
#ifndef SEER_ENGINE_MODEL_LAYER_PASS_DENSE_LAYERS_H_
#define SEER_ENGINE_MODEL_LAYER_PASS_DENSE_LAYERS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/model/batch/step_inputs.h"
#include "engine/model/layer/row_ops.h"
#include "engine/model/layer_pass/layer_pass.h"
#include "engine/model/parts/model_parts.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/block_sets.h"
#include "kernels/paged_kv.h"

namespace seer {

// Of one sequence, whose ranges come in the order of LayerPass. Everything
// throws what ATen throws.
class DenseLayers {
 public:
  // `model` and what `kv` points to are borrowed; `pages` one a block.
  DenseLayers(const ModelParts& model, const PagedKv& kv,
              absl::Span<const int32_t> pages, int64_t num_tokens);

  // Of a batch that is the range, from `first_tile` on.
  absl::Status Run(const StepInputs& inputs, int32_t layer, int64_t first_tile,
                   LayerPassTargets targets, LayerRangeView* view);

  // LayerPass::AddOutputErrors, of the last Run and its inputs.
  absl::Status AddOutputErrors(const StepInputs& inputs, const BlockSets& sets,
                               double* sums);
  // Whether there is an output to compare with.
  bool has_output() const { return output_.defined(); }

  const ModelParts& model() const { return model_; }
  const PagedKv& kv() const { return kv_; }

  // What PoolAttention is called with, without targets.
  static AttentionPoolingArgs PoolingOf(const ModelParts& model,
                                        const StepInputs& inputs,
                                        const void* queries, const PagedKv& kv,
                                        int64_t row_len);

 private:
  // RoPE, page writes and pools of `qkv`, dtype [rows, Hq + 2 Hk, D]; returns
  // the roped queries, dtype [rows, Hq, D].
  absl::StatusOr<at::Tensor> Prepare(const StepInputs& inputs,
                                     const at::Tensor& qkv, int64_t first_tile);
  // Into `out`, dtype [rows, Hq, D], or nowhere where it is undefined.
  absl::Status Attend(const StepInputs& inputs, const at::Tensor& queries,
                      int64_t last_tile, LayerPassTargets targets,
                      const at::Tensor& out);
  at::Tensor Empty(at::IntArrayRef shape, at::ScalarType type) const;

  const ModelParts model_;
  const PagedKv kv_;
  const RowOps rows_;
  const at::Tensor pages_;  // int32 [blocks]
  at::Tensor x_;            // dtype [num_tokens, H]: the residual stream
  at::Tensor key_pools_;    // fp32 [blocks, Hk * kNumPools * D]
  // Of the last range.
  at::Tensor query_pools_;  // fp32 [tiles, Hq, kNumPools, D]
  at::Tensor max_target_;   // fp32 [tiles, Hq, row_len]
  at::Tensor mass_target_;  // fp32 [tiles, Hq, row_len]
  // If its output is kept: of its rows, dtype [rows, Hq, D].
  at::Tensor queries_;  // roped
  at::Tensor output_;   // of dense attention
  // Of its layer, once errors are asked for.
  at::Tensor grams_;  // fp32 [Hq, D, D]
  int32_t layer_ = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LAYER_PASS_DENSE_LAYERS_H_
