#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/gate_score/gate_score.h"

namespace seer {

void GateSoftmax(const float* logits, int32_t num_visible, float* probs) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  float max = kLowest;
  for (int32_t j = 0; j < num_visible; ++j) {
    if (logits[j] > max) max = logits[j];
  }
  float sum = 0.0f;
  for (int32_t j = 0; j < num_visible; ++j) {
    const float logit = logits[j];
    // Infinities equal to the largest share it, where inf - inf would be NaN.
    probs[j] = logit == max        ? 1.0f
               : std::isnan(logit) ? 0.0f
                                   : std::exp(logit - max);
    sum += probs[j];
  }
  if (sum == 0.0f) return;
  for (int32_t j = 0; j < num_visible; ++j) probs[j] /= sum;
}

}  // namespace seer
