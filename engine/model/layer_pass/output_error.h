// What a layer's heads would write wrongly into the residual stream.
#ifndef SEER_ENGINE_MODEL_LAYER_PASS_OUTPUT_ERROR_H_
#define SEER_ENGINE_MODEL_LAYER_PASS_OUTPUT_ERROR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/model/parts/linear.h"

namespace seer {

// Rows that AddSquaredErrors takes at a time: what bounds its memory.
constexpr int64_t kErrorRowsAtOnce = 1024;

// G_h = W_h W_h^T of each head's part W_h [D, H] of the output projection Hq *
// D
// -> H, so that what a row o of the head writes has the squared length
// o G_h o^T: fp32 [Hq, D, D]. `options`: the weights' dtype and device. Holds
// one head's part at a time. Throws what ATen throws.
at::Tensor OutputGrams(const Linear& output, int64_t num_heads,
                       int64_t head_dim, const at::TensorOptions& options);

// sums[h] += the sum over rows of (got - want)[r, h] G_h (got - want)[r, h]^T.
// got, want of one dtype [num_rows, Hq, D]; sums double [Hq]. A row's share is
// fp32, of differences that are exact but for one fp32 rounding. Waits for
// nothing. Throws what ATen throws.
void AddSquaredErrors(const at::Tensor& grams, const at::Tensor& got,
                      const at::Tensor& want, const at::Tensor& sums);

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LAYER_PASS_OUTPUT_ERROR_H_
