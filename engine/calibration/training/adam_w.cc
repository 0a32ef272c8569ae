#include "engine/calibration/training/adam_w.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <cstddef>

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
  at::Tensor sum;
  for (const at::Tensor& gradient : gradients) {
    const at::Tensor square = gradient.to(at::kDouble).square().sum();
    sum = sum.defined() ? sum + square : square;
  }
  return sum.sqrt_();
}

void UpdateWeights(const AdamWOptions& options, double learning_rate,
                   const at::Tensor& norm,
                   const std::vector<at::Tensor>& gradients, AdamWState* state,
                   const std::vector<at::Tensor>& weights) {
  const double t = static_cast<double>(++state->num_updates);
  const double correction1 = 1.0 - std::pow(options.beta1, t);
  const double correction2 = 1.0 - std::pow(options.beta2, t);
  const at::Tensor clip = (norm + kNormEpsilon)
                              .reciprocal_()
                              .mul_(options.max_gradient_norm)
                              .clamp_max_(1.0);
  for (size_t i = 0; i < weights.size(); ++i) {
    at::Tensor gradient = gradients[i];
    gradient.mul_(clip.to(gradient.scalar_type()));
    at::Tensor m = state->first_moments[i];
    at::Tensor v = state->second_moments[i];
    m.mul_(options.beta1).add_(gradient, 1.0 - options.beta1);
    v.mul_(options.beta2).addcmul_(gradient, gradient, 1.0 - options.beta2);
    const at::Tensor root =
        v.sqrt().div_(std::sqrt(correction2)).add_(options.epsilon);
    at::Tensor weight = weights[i];
    weight.mul_(1.0 - learning_rate * options.weight_decay)
        .addcdiv_(m, root, -learning_rate / correction1);
  }
}

}  // namespace seer
