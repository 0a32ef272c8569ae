// A matrix of weights, laid out for products with a few or many rows on its
// device.
#ifndef SEER_ENGINE_MODEL_PARTS_LINEAR_H_
#define SEER_ENGINE_MODEL_PARTS_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace seer {

// y = x @ W^T without bias. Throws what ATen throws.
class Linear {
 public:
  Linear() = default;

  // `weight` [num_outputs, num_inputs], fp32 or bf16; not referenced
  // afterwards where it could be packed.
  explicit Linear(const at::Tensor& weight);

  // x [num_rows, num_inputs] -> [num_rows, num_outputs], of the weights' dtype,
  // accumulated in fp32.
  at::Tensor Multiply(const at::Tensor& x) const;
  // The same, into contiguous `out` [num_rows, num_outputs]; on a GPU without
  // allocating anything.
  void MultiplyInto(const at::Tensor& x, const at::Tensor& out) const;

  int64_t num_bytes() const { return num_bytes_; }

  // Whether the matrix is in the memory of `tensor`.
  bool Shares(const at::Tensor& tensor) const {
    return !packed_ && weight_.is_alias_of(tensor);
  }

 private:
  at::Tensor weight_;
  bool packed_ = false;
  int64_t num_bytes_ = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_PARTS_LINEAR_H_
