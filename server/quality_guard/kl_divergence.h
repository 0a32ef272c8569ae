#ifndef SEER_SERVER_QUALITY_GUARD_KL_DIVERGENCE_H_
#define SEER_SERVER_QUALITY_GUARD_KL_DIVERGENCE_H_

#include "absl/types/span.h"

namespace seer {

// KL(P || Q) in nats, at least 0, of two distributions over the same tokens by
// their log-probabilities [num_tokens], which are finite. Exactly 0 where they
// are equal.
//
// Summed as p ln(p / q) - p + q, of which no term is negative; what is added
// is 0 over whole distributions. So the rounding of log-probabilities, which
// leaves neither sum exactly 1, counts only in proportion to how far P and Q
// are apart: an error of d in each adds at most
// d * sum(p |ln(p / q)| + |p - q|).
double KlDivergence(absl::Span<const float> log_p,
                    absl::Span<const float> log_q);

}  // namespace seer

#endif  // SEER_SERVER_QUALITY_GUARD_KL_DIVERGENCE_H_
