// The arguments of kernels, as every pass of a model gives them.
#ifndef SEER_ENGINE_MODEL_LAYER_LAYER_ARGS_H_
#define SEER_ENGINE_MODEL_LAYER_LAYER_ARGS_H_

#include <cstdint>

#include "engine/model/batch/step_inputs.h"
#include "engine/model/parts/model_parts.h"
#include "engine/weights/model_config.h"
#include "kernels/attention/attention.h"
#include "kernels/paged_kv.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "kernels/rope.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {

// Parts that PlanAttention splits a prompt's last tiles into, at most.
constexpr int32_t kMaxEndParts = 52;

StepLimits LimitsOf(const ModelConfig& config, int64_t num_pages);

RopeTable RopeOf(const ModelParts& model);

// `qkv` dtype [num_rows, Hq + 2 Hk, D]: queries, keys, values; `queries` dtype
// [num_rows, Hq, D], out. Without pools of queries.
QkPrepareArgs QkPrepareOf(const ModelParts& model, const StepInputs& inputs,
                          const void* qkv, const PagedKv& kv, void* queries);

// `queries` and `out` dtype [num_rows, Hq, D]. Without sets: all dense.
AttentionArgs AttentionOf(const ModelParts& model, const StepInputs& inputs,
                          const void* queries, const PagedKv& kv, void* out);

// What draws tokens and scores them: as `device`'s kernels, but the reference
// on the CPU, where the host reads logits itself unless a test asks otherwise.
Backend DrawingBackend(const Device& device);

// The step's draws from `logits`, dtype [num_rows, vocab_size]; `drawn`
// [inputs.num_draws], out.
SampleTokensArgs DrawsOf(const ModelParts& model, const StepInputs& inputs,
                         int64_t num_rows, const void* logits, int32_t* drawn);

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LAYER_LAYER_ARGS_H_
