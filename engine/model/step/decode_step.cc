#include "engine/model/step/decode_step.h"

#include <ATen/ops/zeros.h>

#include <utility>

#include "base/status_macros.h"
#include "engine/model/aten/aten.h"
#include "engine/model/layer/layer_args.h"
#include "kernels/attention/attention.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {
namespace {

DecodeTensors FirstRows(const DecodeTensors& all, int64_t count) {
  const auto part = [&](const at::Tensor& rows) {
    return rows.narrow(0, 0, count);
  };
  return {part(all.x),       part(all.normed),    part(all.qkv),
          part(all.queries), part(all.attention), part(all.hidden),
          part(all.gate_up), part(all.active),    part(all.logits)};
}

}  // namespace

DecodeTensors DecodeTensors::Make(const ModelParts& model, int64_t max_rows) {
  const ModelConfig& config = *model.config;
  const int64_t queries = int64_t{config.num_query_heads} * config.head_dim;
  const int64_t keys = int64_t{config.num_kv_heads} * config.head_dim;
  // Zeros: rows that no sequence has are computed too, and are to be finite.
  const auto rows = [&](int64_t width) {
    return at::zeros({max_rows, width},
                     at::TensorOptions(ScalarTypeOf(model.dtype))
                         .device(AtenDevice(*model.device)));
  };
  DecodeTensors made;
  made.x = rows(config.hidden_size);
  made.normed = rows(config.hidden_size);
  made.qkv = rows(queries + 2 * keys);
  made.queries = rows(queries);
  made.attention = rows(queries);
  made.hidden = rows(config.hidden_size);
  made.gate_up = rows(2 * int64_t{config.intermediate_size});
  made.active = rows(config.intermediate_size);
  made.logits = rows(config.vocab_size);
  return made;
}

DecodeStep::DecodeStep(const ModelParts& model, const DecodeTensors& tensors,
                       Init init)
    : model_(model),
      init_(std::move(init)),
      rows_(*model.device, model.dtype, model.config->rms_norm_eps,
            model.tensors->epsilon),
      tensors_(FirstRows(tensors, init_.inputs.batch.num_rows)) {}

absl::Status DecodeStep::RunAttention(int32_t layer, DeviceClock* clock) const {
  const Backend backend = model_.device->backend();
  const PagedKv& kv = init_.layers[layer];
  if (clock != nullptr) clock->Mark();
  SEER_RETURN_IF_ERROR(
      QkPrepare(backend,
                QkPrepareOf(model_, init_.inputs, tensors_.qkv.const_data_ptr(),
                            kv, tensors_.queries.mutable_data_ptr()),
                init_.stream));
  if (clock != nullptr) {
    clock->Mark();
    clock->Mark();  // generated rows select nothing
  }
  SEER_RETURN_IF_ERROR(Attend(
      backend,
      AttentionOf(model_, init_.inputs, tensors_.queries.const_data_ptr(), kv,
                  tensors_.attention.mutable_data_ptr()),
      init_.stream));
  if (clock != nullptr) clock->Mark();
  return absl::OkStatus();
}

absl::Status DecodeStep::RunLayer(int32_t layer, DeviceClock* clock) const {
  const LlamaWeights::Layer& weights = model_.tensors->weights.layers[layer];
  const DecodeTensors& t = tensors_;
  // What the layer before has left to be added.
  const at::Tensor addend = layer == 0 ? at::Tensor() : t.hidden;
  SEER_RETURN_IF_ERROR(
      rows_.AddAndNormInto(t.x, addend, weights.input_norm, t.normed));
  weights.qkv.MultiplyInto(t.normed, t.qkv);
  SEER_RETURN_IF_ERROR(RunAttention(layer, clock));
  weights.output.MultiplyInto(t.attention, t.hidden);
  SEER_RETURN_IF_ERROR(rows_.AddAndNormInto(
      t.x, t.hidden, weights.post_attention_norm, t.normed));
  weights.gate_up.MultiplyInto(t.normed, t.gate_up);
  SEER_RETURN_IF_ERROR(rows_.SiluMulInto(t.gate_up, t.active));
  weights.down.MultiplyInto(t.active, t.hidden);
  return absl::OkStatus();
}

absl::Status DecodeStep::Draw() const {
  return SampleTokens(DrawingBackend(*model_.device),
                      DrawsOf(model_, init_.inputs, tensors_.logits.size(0),
                              tensors_.logits.const_data_ptr(), init_.drawn),
                      init_.stream);
}

absl::Status DecodeStep::Enqueue(DeviceClock* clock) const {
  const LlamaWeights& weights = model_.tensors->weights;
  const DecodeTensors& t = tensors_;
  SEER_RETURN_IF_ERROR(rows_.EmbedInto(weights.embedding, init_.inputs.tokens,
                                       init_.drawn, t.x));
  for (int32_t l = 0; l < model_.config->num_layers; ++l) {
    SEER_RETURN_IF_ERROR(RunLayer(l, clock));
  }
  SEER_RETURN_IF_ERROR(
      rows_.AddAndNormInto(t.x, t.hidden, weights.final_norm, t.normed));
  weights.lm_head.MultiplyInto(t.normed, t.logits);
  return Draw();
}

}  // namespace seer
