// What the error budget of attention is computed from.
#ifndef SEER_TESTS_TESTING_KERNELS_ORACLES_PLAIN_ATTENTION_H_
#define SEER_TESTS_TESTING_KERNELS_ORACLES_PLAIN_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "kernels/attention/attention.h"

namespace seer {

// Attention as the plainest code in args.dtype computes it: sums in fp32, one
// after the other; scores, probabilities and results rounded to the dtype.
// Takes valid arguments; sets and paging as in attention.h.
void AttendPlainly(const AttentionArgs& args);

// The probabilities, rounded to args.dtype, that AttendPlainly multiplies the
// values with: of the keys that a tile's row reads, in order.
std::vector<float> PlainProbabilities(const AttentionArgs& args, int32_t tile,
                                      int32_t row, int32_t head);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_ORACLES_PLAIN_ATTENTION_H_
