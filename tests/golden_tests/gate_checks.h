// What the gate and selection must reproduce of a golden layer.
#ifndef SEER_TESTS_GOLDEN_TESTS_GATE_CHECKS_H_
#define SEER_TESTS_GOLDEN_TESTS_GATE_CHECKS_H_

#include <string>

#include "tests/golden_tests/golden_layer.h"

namespace seer {

// Each check is made for both backends, and in fp32 and bf16, and reports
// failures to GoogleTest.

// Logits `tensor` under the rope scaling, within the error budget: in fp32 the
// golden file is the plain computation and the exact gate the reference; in
// bf16 our reference backend is plain and the golden file the reference.
void CheckGateLogits(const GoldenLayer& layer, const std::string& tensor,
                     const std::string& scaling);

// mean_pool_logits, likewise.
void CheckMeanPoolLogits(const GoldenLayer& layer);

// gate_probs, likewise, in fp32.
void CheckGateProbabilities(const GoldenLayer& layer);

// The mask of that name: from the golden logits equal (but for thresholds,
// where rounding of the softmax decides near-ties), and from our own logits
// different only at near-ties, whose number is printed.
void CheckMask(const GoldenLayer& layer, const std::string& mask);

// Whether CheckMask knows how masks of this name come about.
bool IsMaskName(const std::string& name);

}  // namespace seer

#endif  // SEER_TESTS_GOLDEN_TESTS_GATE_CHECKS_H_
