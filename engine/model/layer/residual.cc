#include "engine/model/layer/residual.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace seer {

int64_t MlpRowsAtOnce(Backend backend) {
  return backend == Backend::kCuda ? 8192 : 1024;
}

absl::Status AddMlp(const RowOps& rows, const LlamaWeights::Layer& layer,
                    Residual& residual) {
  const at::Tensor addend = std::exchange(residual.pending, at::Tensor());
  const int64_t num_rows = residual.x.size(0);
  const int64_t rows_at_once = MlpRowsAtOnce(rows.backend());
  for (int64_t row = 0; row < num_rows; row += rows_at_once) {
    const int64_t count = std::min(rows_at_once, num_rows - row);
    const at::Tensor x = residual.x.narrow(0, row, count);
    SEER_ASSIGN_OR_RETURN(const at::Tensor normed,
                          rows.AddAndNorm(x, addend.narrow(0, row, count),
                                          layer.post_attention_norm));
    SEER_ASSIGN_OR_RETURN(const at::Tensor active,
                          rows.SiluMul(layer.gate_up.Multiply(normed)));
    const at::Tensor out = layer.down.Multiply(active);
    if (count == num_rows) {
      residual.pending = out;
    } else {
      x.add_(out);
    }
  }
  return absl::OkStatus();
}

}  // namespace seer
