#include "engine/model/layer_pass/dense_layers.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "engine/model/aten/aten.h"
#include "engine/model/layer/layer_args.h"
#include "engine/model/layer/residual.h"
#include "engine/model/layer_pass/output_error.h"
#include "engine/model/parts/llama_weights.h"
#include "kernels/attention/attention.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

at::Tensor OnDevice(absl::Span<const int32_t> values, const Device& device) {
  at::Tensor host = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<int32_t>());
  return host.to(AtenDevice(device));
}

}  // namespace

DenseLayers::DenseLayers(const ModelParts& model, const PagedKv& kv,
                         absl::Span<const int32_t> pages, int64_t num_tokens)
    : model_(model),
      kv_(kv),
      rows_(*model.device, model.dtype, model.config->rms_norm_eps,
            model.tensors->epsilon),
      pages_(OnDevice(pages, *model.device)),
      x_(Empty({num_tokens, model.config->hidden_size},
               ScalarTypeOf(model.dtype))),
      key_pools_(Empty({static_cast<int64_t>(pages.size()),
                        int64_t{kv.num_kv_heads} * kNumPools * kv.head_dim},
                       at::kFloat)) {}

at::Tensor DenseLayers::Empty(at::IntArrayRef shape,
                              at::ScalarType type) const {
  return at::empty(shape,
                   at::TensorOptions(type).device(AtenDevice(*model_.device)));
}

absl::StatusOr<at::Tensor> DenseLayers::Prepare(const StepInputs& inputs,
                                                const at::Tensor& qkv,
                                                int64_t first_tile) {
  const RaggedBatch& batch = inputs.batch;
  const int64_t heads = model_.config->num_query_heads;
  const int64_t head_dim = model_.config->head_dim;
  at::Tensor queries =
      Empty({batch.num_rows, heads, head_dim}, ScalarTypeOf(model_.dtype));
  query_pools_ =
      Empty({batch.num_prompt_tiles, heads, kNumPools, head_dim}, at::kFloat);
  QkPrepareArgs prepare = QkPrepareOf(model_, inputs, qkv.const_data_ptr(), kv_,
                                      queries.mutable_data_ptr());
  prepare.pooled_queries = query_pools_.mutable_data_ptr<float>();
  SEER_RETURN_IF_ERROR(
      QkPrepare(model_.device->backend(), prepare, model_.device->stream()));
  const at::Tensor all_pools =
      ViewOf(kv_.pooled_keys, {kv_.num_pages, key_pools_.size(1)}, at::kFloat,
             *model_.device);
  at::Tensor pools = key_pools_.narrow(0, first_tile, batch.num_prompt_tiles);
  at::index_select_out(pools, all_pools, 0,
                       pages_.narrow(0, first_tile, batch.num_prompt_tiles));
  return queries;
}

AttentionPoolingArgs DenseLayers::PoolingOf(const ModelParts& model,
                                            const StepInputs& inputs,
                                            const void* queries,
                                            const PagedKv& kv,
                                            int64_t row_len) {
  AttentionPoolingArgs pool;
  pool.attention = AttentionOf(model, inputs, queries, kv, /*out=*/nullptr);
  pool.row_len = static_cast<int32_t>(row_len);
  return pool;
}

absl::Status DenseLayers::Attend(const StepInputs& inputs,
                                 const at::Tensor& queries, int64_t last_tile,
                                 LayerPassTargets targets,
                                 const at::Tensor& out) {
  AttentionPoolingArgs pool =
      PoolingOf(model_, inputs, queries.const_data_ptr(), kv_, last_tile);
  if (out.defined()) pool.attention.out = out.mutable_data_ptr();
  const auto target = [&](bool wanted, float** data) {
    at::Tensor tensor;
    if (!wanted) return tensor;
    tensor = Empty({inputs.batch.num_prompt_tiles,
                    model_.config->num_query_heads, last_tile},
                   at::kFloat);
    *data = tensor.mutable_data_ptr<float>();
    return tensor;
  };
  max_target_ = target(targets.max, &pool.max_target);
  mass_target_ = target(targets.mass, &pool.mass_target);
  const bool pools = targets.max || targets.mass;
  const Backend backend = model_.device->backend();
  DeviceStream stream = model_.device->stream();
  stream.workspace_bytes =
      pools ? AttentionPoolingWorkspaceBytes(backend, pool)
            : AttentionWorkspaceBytes(backend, pool.attention);
  const at::Tensor workspace = Empty({stream.workspace_bytes}, at::kByte);
  stream.workspace = workspace.mutable_data_ptr();
  if (pools) return PoolAttention(backend, pool, stream);
  if (!out.defined()) return absl::OkStatus();
  return seer::Attend(backend, pool.attention, stream);
}

absl::Status DenseLayers::Run(const StepInputs& inputs, int32_t layer,
                              int64_t first_tile, LayerPassTargets targets,
                              LayerRangeView* view) {
  const LlamaWeights& weights = model_.tensors->weights;
  const LlamaWeights::Layer& w = weights.layers[layer];
  const int64_t num_rows = inputs.batch.num_rows;
  const int64_t last_tile = first_tile + inputs.batch.num_prompt_tiles;
  queries_.reset();
  output_.reset();
  if (layer != layer_) grams_.reset();
  layer_ = layer;
  Residual residual;
  residual.x = x_.narrow(0, first_tile * kBlockSize, num_rows);
  if (layer == 0) {
    SEER_RETURN_IF_ERROR(rows_.EmbedInto(weights.embedding, inputs.tokens,
                                         /*drawn=*/nullptr, residual.x));
  }
  at::Tensor queries;
  {
    SEER_ASSIGN_OR_RETURN(
        const at::Tensor normed,
        rows_.AddAndNorm(residual.x, at::Tensor(), w.input_norm));
    SEER_ASSIGN_OR_RETURN(queries,
                          Prepare(inputs, w.qkv.Multiply(normed), first_tile));
  }
  const bool is_last = layer + 1 == model_.config->num_layers;
  at::Tensor attention;
  if (!is_last || targets.output) {
    attention = Empty(queries.sizes(), queries.scalar_type());
  }
  SEER_RETURN_IF_ERROR(Attend(inputs, queries, last_tile, targets, attention));
  if (targets.output) {
    queries_ = queries;
    output_ = attention;
  }
  if (!is_last) {
    residual.pending = w.output.Multiply(attention.flatten(1));
    SEER_RETURN_IF_ERROR(AddMlp(rows_, w, residual));
    if (residual.pending.defined()) residual.x.add_(residual.pending);
  }
  const auto data = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
  };
  view->pooled_queries = data(query_pools_);
  view->pooled_keys = data(key_pools_);
  view->max_target = data(max_target_);
  view->mass_target = data(mass_target_);
  view->row_len = last_tile;
  return absl::OkStatus();
}

absl::Status DenseLayers::AddOutputErrors(const StepInputs& inputs,
                                          const BlockSets& sets, double* sums) {
  const int64_t heads = model_.config->num_query_heads;
  if (!grams_.defined()) {
    grams_ = OutputGrams(model_.tensors->weights.layers[layer_].output, heads,
                         model_.config->head_dim, output_.options());
  }
  const at::Tensor sparse = Empty(output_.sizes(), output_.scalar_type());
  AttentionArgs attend = AttentionOf(model_, inputs, queries_.const_data_ptr(),
                                     kv_, sparse.mutable_data_ptr());
  attend.sets = sets;
  const Backend backend = model_.device->backend();
  DeviceStream stream = model_.device->stream();
  stream.workspace_bytes = AttentionWorkspaceBytes(backend, attend);
  {
    const at::Tensor workspace = Empty({stream.workspace_bytes}, at::kByte);
    stream.workspace = workspace.mutable_data_ptr();
    SEER_RETURN_IF_ERROR(seer::Attend(backend, attend, stream));
  }
  AddSquaredErrors(grams_, sparse, output_,
                   ViewOf(sums, {heads}, at::kDouble, *model_.device));
  return absl::OkStatus();
}

}  // namespace seer
