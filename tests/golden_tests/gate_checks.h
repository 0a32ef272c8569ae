// What the gate and selection must reproduce of a golden layer.
#ifndef SEER_TESTS_GOLDEN_TESTS_GATE_CHECKS_H_
#define SEER_TESTS_GOLDEN_TESTS_GATE_CHECKS_H_

#include <string>

#include "tests/golden_tests/golden_layer.h"

namespace seer {

// Each check is made for every backend that the build and the machine have, and
// reports failures to GoogleTest.

// Logits `tensor` under the rope scaling. In fp32, both they and ours are
// within the case's budget of the gate in double: twice what fp32 angles make
// of it, and the roundings of a logit's longest chain. In bf16, ours are within
// the error budget of the golden ones, our reference backend being plain.
void CheckGateLogits(const GoldenLayer& layer, const std::string& tensor,
                     const std::string& scaling);

// mean_pool_logits, likewise.
void CheckMeanPoolLogits(const GoldenLayer& layer);

// gate_probs in fp32, within what the logits' budget makes of them.
void CheckGateProbabilities(const GoldenLayer& layer);

// The mask of that name: from the golden logits equal, but where rounding of
// probabilities decides; and from our own logits, in fp32 and bf16, different
// only at near-ties, whose number is printed.
void CheckMask(const GoldenLayer& layer, const std::string& mask);

// Whether the layer has what explains its masks, and CheckMask needs: a gate,
// and its logits as gate_logits or gate_logits_default.
bool CanCheckMasks(const GoldenLayer& layer);

// Whether CheckMask knows how masks of this name come about.
bool IsMaskName(const std::string& name);

}  // namespace seer

#endif  // SEER_TESTS_GOLDEN_TESTS_GATE_CHECKS_H_
