#include "engine/calibration/training/adam_w.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/hypot.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros_like.h>

namespace seer {
namespace {

// Of clip_grad_norm_: keeps a norm of 0 from being divided by.
constexpr double kNormEpsilon = 1e-6;

}  // namespace

AdamWState::AdamWState(const std::vector<at::Tensor>& weights) {
  for (const at::Tensor& weight : weights) {
    first_moments.push_back(at::zeros_like(weight));
    second_moments.push_back(at::zeros_like(weight));
  }
}

at::Tensor GradientNorm(const std::vector<at::Tensor>& gradients) {
  at::Tensor norm;
  for (const at::Tensor& gradient : gradients) {
    const at::Tensor of_one =
        at::linalg_vector_norm(gradient, 2.0, /*dim=*/at::OptionalIntArrayRef(),
                               /*keepdim=*/false, at::kDouble);
    norm = norm.defined() ? at::hypot(norm, of_one) : of_one;
  }
  return norm;
}

void UpdateWeights(const AdamWOptions& options, double learning_rate,
                   double norm, const std::vector<at::Tensor>& gradients,
                   AdamWState* state, const std::vector<at::Tensor>& weights) {
  ++state->num_updates;
  const double clip = options.max_gradient_norm / (norm + kNormEpsilon);
  if (clip < 1.0) {
    for (at::Tensor gradient : gradients) gradient.mul_(clip);
  }
  const std::vector<at::Tensor> num_updates(
      weights.size(), at::full({}, static_cast<double>(state->num_updates),
                               weights.front().options().dtype(at::kFloat)));
  at::_fused_adamw_(weights, gradients, state->first_moments,
                    state->second_moments, /*max_exp_avg_sqs=*/{}, num_updates,
                    learning_rate, options.beta1, options.beta2,
                    options.weight_decay, options.epsilon, /*amsgrad=*/false,
                    /*maximize=*/false);
}

}  // namespace seer
