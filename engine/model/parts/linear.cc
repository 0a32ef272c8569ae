#include "engine/model/parts/linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <optional>

namespace seer {
namespace {

// oneDNN's products over weights in its own blocked layout, through ATen's
// operator registry. With weights in row order it packs them anew at each call,
// which costs a decode step two thirds of its time.
struct PackedOps {
  using Reorder = at::Tensor(const at::Tensor&, std::optional<int64_t>);
  using Multiply = at::Tensor(const at::Tensor&, const at::Tensor&,
                              const std::optional<at::Tensor>&,
                              c10::string_view,
                              c10::List<std::optional<at::Scalar>>,
                              std::optional<c10::string_view>);

  c10::TypedOperatorHandle<Reorder> reorder;
  c10::TypedOperatorHandle<Multiply> multiply;
};

const PackedOps& Ops() {
  static const PackedOps* const ops = [] {
    c10::Dispatcher& dispatcher = c10::Dispatcher::singleton();
    return new PackedOps{
        dispatcher.findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
            .typed<PackedOps::Reorder>(),
        dispatcher.findSchemaOrThrow("mkldnn::_linear_pointwise", "")
            .typed<PackedOps::Multiply>()};
  }();
  return *ops;
}

}  // namespace

Linear::Linear(const at::Tensor& weight)
    : weight_(weight), num_bytes_(static_cast<int64_t>(weight.nbytes())) {
  // oneDNN refuses bf16 on processors without the instructions for it; fp32
  // products are ATen's own, and a GPU's library takes rows as they are.
  if (!weight.is_cpu() || weight.scalar_type() != at::kBFloat16) return;
  try {
    weight_ = Ops().reorder.call(weight, std::nullopt);
    packed_ = true;
  } catch (const c10::Error&) {
    weight_ = weight;
  }
}

at::Tensor Linear::Multiply(const at::Tensor& x) const {
  if (!packed_) return at::linear(x, weight_);
  return Ops().multiply.call(x, weight_, std::nullopt, "none",
                             c10::List<std::optional<at::Scalar>>(),
                             std::nullopt);
}

void Linear::MultiplyInto(const at::Tensor& x, const at::Tensor& out) const {
  at::Tensor product = out;
  if (packed_) {
    product.copy_(Multiply(x));
  } else {
    at::mm_out(product, x, weight_.t());
  }
}

}  // namespace seer
