// The residual stream of a pass's rows.
#ifndef SEER_ENGINE_MODEL_LAYER_RESIDUAL_H_
#define SEER_ENGINE_MODEL_LAYER_RESIDUAL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/status/status.h"
#include "engine/model/layer/row_ops.h"
#include "engine/model/parts/llama_weights.h"
#include "kernels/device.h"

namespace seer {

// With what is still to be added to it before it is normed; undefined: nothing.
struct Residual {
  at::Tensor x;        // [rows, H]
  at::Tensor pending;  // [rows, H]
};

// Rows of the MLP's wide intermediate that are held at once: on the CPU what
// its caches hold, on a GPU what keeps it busy.
int64_t MlpRowsAtOnce(Backend backend);

// Adds what is pending, the attention's, and the layer's MLP of the sum, which
// may be left pending. INTERNAL: a kernel failed. Throws what ATen throws.
absl::Status AddMlp(const RowOps& rows, const LlamaWeights::Layer& layer,
                    Residual& residual);

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LAYER_RESIDUAL_H_
