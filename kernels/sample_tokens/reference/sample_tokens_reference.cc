#include "kernels/sample_tokens/reference/sample_tokens_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace seer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float ToFinite(double logit) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(logit, -kLargest, kLargest));
}

float Adjusted(float logit, const TokenAdjustment& adjustment,
               const TokenDraw& draw) {
  if (adjustment.banned != 0) return -kInfinity;
  const float biased = ToFinite(double{logit} + adjustment.bias);
  if (adjustment.count < 0) return biased;
  double penalized = biased > 0.0f ? biased / draw.repetition_penalty
                                   : biased * draw.repetition_penalty;
  if (adjustment.count > 0) {
    penalized -=
        draw.presence_penalty + draw.frequency_penalty * adjustment.count;
  }
  return ToFinite(penalized);
}

// How many tokens of `order` are kept, whose weights are `weights`.
int64_t NumKept(const std::vector<double>& weights, const TokenDraw& draw) {
  int64_t num_kept = weights.size();
  if (draw.top_k > 0) num_kept = std::min<int64_t>(num_kept, draw.top_k);
  if (draw.top_p < 1.0) {
    const double mass =
        std::accumulate(weights.begin(), weights.begin() + num_kept, 0.0);
    double reached = weights[0];
    int64_t needed = 1;
    while (needed < num_kept && reached < draw.top_p * mass) {
      reached += weights[needed++];
    }
    num_kept = needed;
  }
  int64_t num_likely = 1;
  while (num_likely < num_kept && weights[num_likely] >= draw.min_p) {
    ++num_likely;
  }
  return num_likely;
}

int32_t Draw(const std::vector<float>& logits, const TokenDraw& draw) {
  if (logits.empty()) return -1;
  const auto best = std::max_element(logits.begin(), logits.end());
  if (*best == -kInfinity) return -1;
  if (draw.temperature == 0.0) {
    return static_cast<int32_t>(best - logits.begin());
  }
  const double temperature = std::max(draw.temperature, kLowestTemperature);
  const std::vector<int32_t> order = DrawOrder(logits, draw);
  std::vector<double> weights;
  for (const int32_t id : order) {
    weights.push_back(std::exp((double{logits[id]} - *best) / temperature));
  }
  if (DrawsInOrderOfLogit(draw, logits.size())) {
    weights.resize(NumKept(weights, draw));
  }
  const double mass = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double target = draw.uniform * mass;
  double reached = 0.0;
  size_t last = 0;  // that weighs something
  for (size_t i = 0; i < weights.size(); ++i) {
    reached += weights[i];
    if (reached > target) return order[i];
    if (weights[i] > 0.0) last = i;
  }
  return order[last];
}

}  // namespace

std::vector<float> AdjustedLogits(const SampleTokensArgs& args,
                                  const TokenDraw& draw) {
  std::vector<float> logits(args.vocab_size);
  for (int32_t id = 0; id < args.vocab_size; ++id) {
    const int64_t at = int64_t{draw.row} * args.vocab_size + id;
    logits[id] =
        args.dtype == DType::kFloat32
            ? static_cast<const float*>(args.logits)[at]
            : static_cast<float>(static_cast<const BFloat16*>(args.logits)[at]);
    if (!std::isfinite(logits[id])) return {};
  }
  for (int32_t i = 0; i < draw.num_adjustments; ++i) {
    const TokenAdjustment& adjustment =
        args.adjustments[draw.first_adjustment + i];
    logits[adjustment.token] =
        Adjusted(logits[adjustment.token], adjustment, draw);
  }
  return logits;
}

bool DrawsInOrderOfLogit(const TokenDraw& draw, int32_t vocab_size) {
  return (draw.top_k > 0 && draw.top_k < vocab_size) || draw.top_p < 1.0 ||
         draw.min_p > 0.0;
}

std::vector<int32_t> DrawOrder(const std::vector<float>& logits,
                               const TokenDraw& draw) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  if (DrawsInOrderOfLogit(draw, logits.size())) {
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return logits[a] > logits[b];
    });
  }
  return order;
}

void SampleTokensReference(const SampleTokensArgs& args) {
  for (int64_t i = 0; i < args.num_draws; ++i) {
    const TokenDraw& draw = args.draws[i];
    args.ids[i] = draw.row < 0 ? -1 : Draw(AdjustedLogits(args, draw), draw);
  }
}

}  // namespace seer
