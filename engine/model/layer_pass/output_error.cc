#include "engine/model/layer_pass/output_error.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace seer {

at::Tensor OutputGrams(const Linear& output, int64_t num_heads,
                       int64_t head_dim, const at::TensorOptions& options) {
  const at::Tensor grams =
      at::empty({num_heads, head_dim, head_dim}, options.dtype(at::kFloat));
  for (int64_t head = 0; head < num_heads; ++head) {
    // A packed matrix cannot be read; its product with unit rows is exact.
    const at::Tensor units =
        at::zeros({head_dim, num_heads * head_dim}, options);
    units.diagonal(head * head_dim).fill_(1);
    const at::Tensor part = output.Multiply(units).to(at::kFloat);
    at::Tensor gram = grams.select(0, head);
    at::mm_out(gram, part, part.t());
  }
  return grams;
}

void AddSquaredErrors(const at::Tensor& grams, const at::Tensor& got,
                      const at::Tensor& want, const at::Tensor& sums) {
  const int64_t num_rows = got.size(0);
  for (int64_t row = 0; row < num_rows; row += kErrorRowsAtOnce) {
    const int64_t count = std::min(kErrorRowsAtOnce, num_rows - row);
    const at::Tensor errors =
        got.narrow(0, row, count)
            .to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)
            .sub_(want.narrow(0, row, count))
            .transpose(0, 1);  // [Hq, count, D]
    const at::Tensor squares = at::bmm(errors, grams).mul_(errors);
    sums.add_(squares.sum(-1).sum(-1, /*keepdim=*/false, at::kDouble));
  }
}

}  // namespace seer
