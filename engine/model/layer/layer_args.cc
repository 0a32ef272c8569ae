#include "engine/model/layer/layer_args.h"

#include <cmath>
#include <cstdint>
#include <limits>

namespace seer {

StepLimits LimitsOf(const ModelConfig& config, int64_t num_pages) {
  StepLimits limits;
  limits.num_layers = config.num_layers;
  limits.num_query_heads = config.num_query_heads;
  limits.vocab_size = config.vocab_size;
  limits.num_pages = num_pages;
  limits.context_len = config.context_len;
  return limits;
}

RopeTable RopeOf(const ModelParts& model) {
  RopeTable rope;
  rope.cos = model.tensors->rope_cos.const_data_ptr<float>();
  rope.sin = model.tensors->rope_sin.const_data_ptr<float>();
  rope.num_positions = model.config->context_len;
  rope.head_dim = model.config->head_dim;
  return rope;
}

QkPrepareArgs QkPrepareOf(const ModelParts& model, const StepInputs& inputs,
                          const void* qkv, const PagedKv& kv, void* queries) {
  const int64_t heads = model.config->num_query_heads;
  const int64_t kv_heads = model.config->num_kv_heads;
  const int64_t head_dim = model.config->head_dim;
  const char* rows = static_cast<const char*>(qkv);
  const int element = SizeOf(model.dtype);
  QkPrepareArgs prepare;
  prepare.batch = inputs.batch;
  prepare.dtype = model.dtype;
  prepare.num_query_heads = model.config->num_query_heads;
  prepare.queries = rows;
  prepare.keys = rows + heads * head_dim * element;
  prepare.values = rows + (heads + kv_heads) * head_dim * element;
  prepare.query_row_stride = (heads + 2 * kv_heads) * head_dim;
  prepare.key_row_stride = prepare.query_row_stride;
  prepare.value_row_stride = prepare.query_row_stride;
  prepare.rope = RopeOf(model);
  prepare.roped_queries = queries;
  prepare.kv = kv;
  return prepare;
}

AttentionArgs AttentionOf(const ModelParts& model, const StepInputs& inputs,
                          const void* queries, const PagedKv& kv, void* out) {
  AttentionArgs attend;
  attend.batch = inputs.batch;
  attend.dtype = model.dtype;
  attend.num_query_heads = model.config->num_query_heads;
  attend.queries = queries;
  attend.kv = kv;
  attend.plan = inputs.plan;
  attend.scale =
      static_cast<float>(1.0 / std::sqrt(1.0 * model.config->head_dim));
  attend.out = out;
  return attend;
}

Backend DrawingBackend(const Device& device) {
  return device.backend() == Backend::kCuda ? Backend::kCuda
                                            : Backend::kReference;
}

SampleTokensArgs DrawsOf(const ModelParts& model, const StepInputs& inputs,
                         int64_t num_rows, const void* logits, int32_t* drawn) {
  SampleTokensArgs args;
  args.dtype = model.dtype;
  args.num_rows = num_rows;
  args.vocab_size = model.config->vocab_size;
  args.logits = logits;
  args.num_draws = inputs.num_draws;
  args.draws = inputs.draws;
  args.adjustments = inputs.adjustments;
  // Checked when they were sent; a recording is for steps of any number.
  args.num_adjustments = std::numeric_limits<int32_t>::max();
  args.ids = drawn;
  return args;
}

}  // namespace seer
