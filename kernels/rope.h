// Rotary position embedding tables, with the scalings of Hugging Face
// transformers (modeling_rope_utils): default, linear, llama3 and YaRN.
#ifndef SEER_KERNELS_ROPE_H_
#define SEER_KERNELS_ROPE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace seer {

// How a model scales its rotary frequencies. Fields beyond `type` are read
// only by the types named.
struct RopeScaling {
  enum class Type { kDefault, kLinear, kLlama3, kYarn };
  Type type = Type::kDefault;
  double factor = 1.0;                           // linear, llama3, yarn; >= 1
  double low_freq_factor = 1.0;                  // llama3
  double high_freq_factor = 4.0;                 // llama3; > low_freq_factor
  int64_t original_max_position_embeddings = 0;  // llama3, yarn; >= 1
  double beta_fast = 32.0;                       // yarn
  double beta_slow = 1.0;                        // yarn
  double attention_factor = 0.0;                 // yarn; 0: 0.1 ln(factor) + 1
};

// What frequencies depend on.
struct RopeConfig {
  double theta = 10000.0;  // base; > 1
  int32_t head_dim = 0;    // even; the rotation covers the whole head
  RopeScaling scaling;
};

// Inverse frequencies [head_dim / 2], computed in fp32 as transformers does,
// and the factor that scales both cos and sin (1 but for YaRN).
struct RopeFrequencies {
  std::vector<float> inverse_frequencies;
  float attention_factor = 1.0f;
};

// INVALID_ARGUMENT: a parameter outside the ranges above.
absl::StatusOr<RopeFrequencies> MakeRopeFrequencies(const RopeConfig& config);

// cos and sin of every position, as kernels read them. Borrowed.
struct RopeTable {
  const float* cos = nullptr;  // [num_positions, head_dim / 2]
  const float* sin = nullptr;  // [num_positions, head_dim / 2]
  int64_t num_positions = 0;
  int32_t head_dim = 0;
};

// Fills cos and sin, each [num_positions, head_dim / 2], for positions from 0.
// Angles are fp32 products, as in transformers.
void FillRopeTable(const RopeFrequencies& frequencies, int64_t num_positions,
                   float* cos, float* sin);

}  // namespace seer

#endif  // SEER_KERNELS_ROPE_H_
