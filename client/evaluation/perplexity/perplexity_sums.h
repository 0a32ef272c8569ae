// Perplexity, and what attention read for it, summed over windows of text.
#ifndef SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_SUMS_H_
#define SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_SUMS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "proto/seer/v1/sparsity.pb.h"

namespace seer {

// Negative log-likelihood, in nats, over tokens.
struct NllSum {
  double nll = 0;
  int64_t num_tokens = 0;

  void Add(const NllSum& other);
  // exp of the mean; NaN where there are no tokens.
  double Perplexity() const;
};

struct PerplexitySums {
  NllSum whole;
  // Of the tokens at 3/4 of their window's length and after: those whose rows
  // leave out most.
  NllSum last_quarter;
  // Over tiles, query heads, layers and windows, as the server counted.
  int64_t blocks_visible = 0;
  int64_t blocks_selected = 0;
  bool closest_feasible = false;  // of any window
  bool dense_fallback = false;    // of any window

  void Add(const PerplexitySums& other);
  // blocks_selected / blocks_visible; NaN where nothing was computed.
  double RealizedDensity() const;
};

// Of one window. `logprobs`: of its tokens 1, 2, ..., so of a window of
// logprobs + 1 tokens.
PerplexitySums SumsOf(absl::Span<const double> logprobs,
                      const v1::SparsityReport& report);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_PERPLEXITY_PERPLEXITY_SUMS_H_
