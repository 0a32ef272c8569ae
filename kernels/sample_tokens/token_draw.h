// One draw of a token: what is asked of the distribution of a row of logits.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_TOKEN_DRAW_H_
#define SEER_KERNELS_SAMPLE_TOKENS_TOKEN_DRAW_H_

#include <cstdint>

namespace seer {

// What changes one token's logit before the draw: the bias is added, then the
// penalties that its draw has for its count apply.
struct TokenAdjustment {
  int32_t token = 0;  // in the vocabulary; at most once among a draw's
  float bias = 0.0f;  // finite; of a token that is biased twice, the sum
  // Times in the output; 0: only in the prompt; below 0: in neither, or its
  // draw has no penalties.
  int32_t count = -1;
  int32_t banned = 0;  // not 0: never drawn
};

// Written by the host, read by the device: 8-byte aligned, no pointers.
struct TokenDraw {
  int32_t row = -1;          // of the logits, shared or not; -1: idle, draws -1
  int32_t top_k = 0;         // below 1: off
  double temperature = 1.0;  // [0, kHighestTemperature]
  double top_p = 1.0;        // (0, 1]; 1: off
  double min_p = 0.0;        // [0, 1]; 0: off
  double repetition_penalty = 1.0;  // > 0, finite
  double presence_penalty = 0.0;    // finite
  double frequency_penalty = 0.0;   // finite
  double uniform = 0.0;             // [0, 1); a GPU reads multiples of 2^-53

  // Its range of SampleTokensArgs::adjustments, in any order.
  int32_t first_adjustment = 0;
  int32_t num_adjustments = 0;
};

// Of logits that a GPU draws from.
constexpr int32_t kMaxSampledVocabulary = 1 << 20;

constexpr double kHighestTemperature = 1e30;
// Lower ones but 0 draw as this one, where the highest logit already has all
// the probability: the reciprocal stays finite.
constexpr double kLowestTemperature = 1e-30;

}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_TOKEN_DRAW_H_
