#include "engine/model/layer/row_ops.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "kernels/rowwise/rowwise.h"

namespace seer {

RowOps::RowOps(const Device& device, DType dtype, double epsilon,
               const at::Tensor& epsilon_tensor)
    : backend_(device.backend()),
      stream_(device.stream()),
      dtype_(dtype),
      epsilon_(epsilon),
      epsilon_tensor_(epsilon_tensor) {}

void RowOps::NormWithAten(const at::Tensor& x, const at::Tensor& weight,
                          at::Tensor out) const {
  // The squares are summed in fp32, whatever x is.
  const at::Tensor norm = at::linalg_vector_norm(x, 2, at::IntArrayRef{-1},
                                                 /*keepdim=*/true, at::kFloat);
  const at::Tensor scale = at::addcmul(epsilon_tensor_, norm, norm,
                                       1.0 / static_cast<double>(x.size(1)))
                               .rsqrt_();
  at::mul_out(out, x, scale);
  out.mul_(weight);
}

absl::StatusOr<at::Tensor> RowOps::AddAndNorm(const at::Tensor& x,
                                              const at::Tensor& addend,
                                              const at::Tensor& weight) const {
  const at::Tensor out = at::empty_like(x);
  const absl::Status status = AddAndNormInto(x, addend, weight, out);
  if (!absl::IsUnimplemented(status)) {
    SEER_RETURN_IF_ERROR(status);
    return out;
  }
  if (addend.defined()) x.add_(addend);
  NormWithAten(x, weight, out);
  return out;
}

absl::Status RowOps::AddAndNormInto(const at::Tensor& x,
                                    const at::Tensor& addend,
                                    const at::Tensor& weight,
                                    const at::Tensor& out) const {
  if (backend_ == Backend::kCuda) {
    RmsNormArgs args;
    args.dtype = dtype_;
    args.num_rows = x.size(0);
    args.width = static_cast<int32_t>(x.size(1));
    args.x = x.mutable_data_ptr();
    if (addend.defined()) args.addend = addend.const_data_ptr();
    args.weight = weight.const_data_ptr();
    args.epsilon = static_cast<float>(epsilon_);
    args.out = out.mutable_data_ptr();
    return RmsNorm(backend_, args, stream_);
  }
  if (addend.defined()) x.add_(addend);
  NormWithAten(x, weight, out);
  return absl::OkStatus();
}

absl::Status RowOps::EmbedInto(const at::Tensor& table, const int32_t* tokens,
                               const int32_t* drawn,
                               const at::Tensor& out) const {
  EmbedTokensArgs args;
  args.dtype = dtype_;
  args.num_rows = out.size(0);
  args.width = static_cast<int32_t>(out.size(1));
  args.table = table.const_data_ptr();
  args.num_table_rows = table.size(0);
  args.tokens = tokens;
  args.drawn = drawn;
  if (drawn != nullptr) args.num_drawn = std::numeric_limits<int32_t>::max();
  args.out = out.mutable_data_ptr();
  // Copies of rows: on the CPU the reference is as good as any.
  const Backend backend =
      backend_ == Backend::kCuda ? backend_ : Backend::kReference;
  return EmbedTokens(backend, args, stream_);
}

absl::StatusOr<at::Tensor> RowOps::SiluMul(const at::Tensor& gate_up) const {
  const at::Tensor out =
      at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  SEER_RETURN_IF_ERROR(SiluMulInto(gate_up, out));
  return out;
}

absl::Status RowOps::SiluMulInto(const at::Tensor& gate_up,
                                 const at::Tensor& out) const {
  const int64_t width = gate_up.size(1) / 2;
  if (backend_ != Backend::kCuda) {
    at::Tensor active = out;
    at::silu_out(active, gate_up.narrow(1, 0, width));
    active.mul_(gate_up.narrow(1, width, width));
    return absl::OkStatus();
  }
  SiluMulArgs args;
  args.dtype = dtype_;
  args.num_rows = gate_up.size(0);
  args.width = static_cast<int32_t>(width);
  args.gate_up = gate_up.const_data_ptr();
  args.out = out.mutable_data_ptr();
  return seer::SiluMul(backend_, args, stream_);
}

}  // namespace seer
