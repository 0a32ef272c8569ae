// What the error budget of attention_pooling is computed from.
#ifndef SEER_TESTS_TESTING_KERNELS_ORACLES_PLAIN_POOLING_H_
#define SEER_TESTS_TESTING_KERNELS_ORACLES_PLAIN_POOLING_H_

#include "kernels/attention_pooling/attention_pooling.h"

namespace seer {

// PoolAttention of valid arguments as the plainest code in the dtype computes
// it: from probabilities rounded to it, with sums in fp32, one after the other.
// Targets alone: neither out nor log_sum_exp is written.
void PoolPlainly(const AttentionPoolingArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_ORACLES_PLAIN_POOLING_H_
