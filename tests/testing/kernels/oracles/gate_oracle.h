// The gate in double, from tokens to logits, with nothing rounded on the way:
// what error budgets of gate scores are measured from.
#ifndef SEER_TESTS_TESTING_KERNELS_ORACLES_GATE_ORACLE_H_
#define SEER_TESTS_TESTING_KERNELS_ORACLES_GATE_ORACLE_H_

#include <cstdint>
#include <vector>

#include "kernels/rope.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"

namespace seer {

// Inverse frequencies [head_dim / 2] and the factor on cos and sin, in double,
// from the definition of each scaling.
struct ExactFrequencies {
  std::vector<double> inverse_frequencies;
  double attention_factor = 1.0;
};
ExactFrequencies MakeExactFrequencies(const RopeConfig& config);

// cos and sin in double, each [num_positions, D / 2].
struct ExactRope {
  std::vector<double> cos, sin;
  int32_t head_dim = 0;
};
// Exact at every step; or the values of a table that kernels read.
ExactRope MakeExactRope(const RopeConfig& config, int64_t num_positions);
ExactRope ToExactRope(const RopeTable& table);

// Of a sequence's prompt, each [Hq, n, n]; 0 above the diagonal.
struct ExactLogits {
  std::vector<double> logits;
  // The same sums over absolute products: what rounding is relative to.
  std::vector<double> magnitudes;
};
ExactLogits ScoreExactly(const HeadShape& shape, const SequenceTokens& tokens,
                         const GateWeights& gate, const ExactRope& rope);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_ORACLES_GATE_ORACLE_H_
