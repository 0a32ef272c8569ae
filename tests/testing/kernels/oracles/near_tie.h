// When two block masks may differ: where the logits that decide are closer
// than their error budget.
#ifndef SEER_TESTS_TESTING_KERNELS_ORACLES_NEAR_TIE_H_
#define SEER_TESTS_TESTING_KERNELS_ORACLES_NEAR_TIE_H_

#include <cstdint>
#include <vector>

#include "kernels/block_selection/block_selection.h"

namespace seer {

// Natural logs of the probabilities of one row of logits, in double. A NaN has
// none.
std::vector<double> LogSoftmax(const float* logits, int64_t num_visible);

// What GateSoftmax, in fp32, may change of a probability, relative to it.
double SoftmaxRounding(int64_t num_visible);

// One row of each mask, [num_visible], 0 or 1. Expects that they differ at
// near-ties only: blocks that one has and the other has not are as many, and
// their `logits` are within `gap`; or, for a threshold, their probabilities'
// logs are within it of the threshold's. Returns whether the rows differ.
bool DiffersAtNearTies(const SelectionRule& rule, const float* logits,
                       const uint8_t* want, const uint8_t* got,
                       int64_t num_visible, double gap);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_ORACLES_NEAR_TIE_H_
