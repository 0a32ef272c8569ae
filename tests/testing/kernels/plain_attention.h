// What the error budget of attention is computed from.
#ifndef SEER_TESTS_TESTING_KERNELS_PLAIN_ATTENTION_H_
#define SEER_TESTS_TESTING_KERNELS_PLAIN_ATTENTION_H_

#include "kernels/attention/attention.h"

namespace seer {

// Attention as the plainest code in args.dtype computes it: sums in fp32, one
// after the other; scores, probabilities and results rounded to the dtype.
// Takes valid arguments; sets and paging as in attention.h.
void AttendPlainly(const AttentionArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_PLAIN_ATTENTION_H_
