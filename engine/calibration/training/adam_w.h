// The optimizer of a layer's weights.
#ifndef SEER_ENGINE_CALIBRATION_TRAINING_ADAM_W_H_
#define SEER_ENGINE_CALIBRATION_TRAINING_ADAM_W_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/calibration/training_options.h"

namespace seer {

// Beside the weights, all that a later step needs. Parallel to the weights.
struct AdamWState {
  std::vector<at::Tensor> first_moments;
  std::vector<at::Tensor> second_moments;
  int64_t num_updates = 0;

  // Of weights that were never updated.
  explicit AdamWState(const std::vector<at::Tensor>& weights);
};

// The norm of all elements of one or two tensors: double, a scalar. Waits for
// nothing.
at::Tensor GradientNorm(const std::vector<at::Tensor>& gradients);

// One update, as torch.optim.AdamW documents it (amsgrad and maximize false),
// with t = ++num_updates:
//
//   g = gradient * min(1, max_gradient_norm / (norm + 1e-6))
//   weight -= rate * weight_decay * weight
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   weight -= rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon)
//
// The clip is torch.nn.utils.clip_grad_norm_'s; `norm` is GradientNorm's,
// finite. Works in the weights' type; waits for nothing; `gradients` are lost.
void UpdateWeights(const AdamWOptions& options, double learning_rate,
                   double norm, const std::vector<at::Tensor>& gradients,
                   AdamWState* state, const std::vector<at::Tensor>& weights);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TRAINING_ADAM_W_H_
