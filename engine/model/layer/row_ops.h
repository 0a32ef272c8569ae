// Norms and activations of rows.
#ifndef SEER_ENGINE_MODEL_LAYER_ROW_OPS_H_
#define SEER_ENGINE_MODEL_LAYER_ROW_OPS_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "kernels/device.h"
#include "kernels/dtype.h"

namespace seer {

// ATen's operators on the CPU; on a GPU one pass over memory each. Both round
// as Hugging Face's LlamaRMSNorm and LlamaMLP do. Throws what ATen throws.
class RowOps {
 public:
  // `epsilon` fp32 [1], on the device: of the norms.
  RowOps(const Device& device, DType dtype, double epsilon,
         const at::Tensor& epsilon_tensor);

  Backend backend() const { return backend_; }

  // x += addend, both [num_rows, H] of contiguous rows; an undefined addend
  // leaves x. Returns x * rsqrt(mean(x^2) + epsilon), in fp32, rounded, times
  // `weight` [H]. INTERNAL: the kernel failed.
  absl::StatusOr<at::Tensor> AddAndNorm(const at::Tensor& x,
                                        const at::Tensor& addend,
                                        const at::Tensor& weight) const;

  // The same, into `out` as x; on a GPU without allocating anything.
  // UNIMPLEMENTED: there, a width that no kernel is made for.
  absl::Status AddAndNormInto(const at::Tensor& x, const at::Tensor& addend,
                              const at::Tensor& weight,
                              const at::Tensor& out) const;

  // The rows of `table` [vocab, H] of a step's `tokens`, int32 [num_rows] on
  // the device as BatchLayout::tokens(), into `out` [num_rows, H]. `drawn`
  // int32: what the step before drew, at the places that the layout knows of.
  // INVALID_ARGUMENT: no such token.
  absl::Status EmbedInto(const at::Tensor& table, const int32_t* tokens,
                         const int32_t* drawn, const at::Tensor& out) const;

  // silu(gate) * up of contiguous rows [num_rows, 2 I], gate first ->
  // [num_rows, I]. INTERNAL: the kernel failed.
  absl::StatusOr<at::Tensor> SiluMul(const at::Tensor& gate_up) const;

  // The same, into `out` [num_rows, I].
  absl::Status SiluMulInto(const at::Tensor& gate_up,
                           const at::Tensor& out) const;

 private:
  void NormWithAten(const at::Tensor& x, const at::Tensor& weight,
                    at::Tensor out) const;

  const Backend backend_;
  const DeviceStream stream_;
  const DType dtype_;
  const double epsilon_;
  const at::Tensor epsilon_tensor_;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LAYER_ROW_OPS_H_
