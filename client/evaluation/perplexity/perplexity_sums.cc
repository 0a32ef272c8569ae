#include "client/evaluation/perplexity/perplexity_sums.h"

#include <cmath>
#include <limits>

namespace seer {

void NllSum::Add(const NllSum& other) {
  nll += other.nll;
  num_tokens += other.num_tokens;
}

double NllSum::Perplexity() const {
  return num_tokens > 0 ? std::exp(nll / num_tokens)
                        : std::numeric_limits<double>::quiet_NaN();
}

void PerplexitySums::Add(const PerplexitySums& other) {
  whole.Add(other.whole);
  last_quarter.Add(other.last_quarter);
  blocks_visible += other.blocks_visible;
  blocks_selected += other.blocks_selected;
  closest_feasible |= other.closest_feasible;
  dense_fallback |= other.dense_fallback;
}

double PerplexitySums::RealizedDensity() const {
  return blocks_visible > 0
             ? static_cast<double>(blocks_selected) / blocks_visible
             : std::numeric_limits<double>::quiet_NaN();
}

PerplexitySums SumsOf(absl::Span<const double> logprobs,
                      const v1::SparsityReport& report) {
  PerplexitySums sums;
  const size_t length = logprobs.size() + 1;
  for (size_t i = 0; i < logprobs.size(); ++i) {
    const NllSum token = {-logprobs[i], 1};
    sums.whole.Add(token);
    if (4 * (i + 1) >= 3 * length) sums.last_quarter.Add(token);
  }
  sums.blocks_visible = report.blocks_visible();
  sums.blocks_selected = report.blocks_selected();
  sums.closest_feasible = report.closest_feasible();
  sums.dense_fallback =
      report.dense_fallback() != v1::DENSE_FALLBACK_UNSPECIFIED &&
      report.dense_fallback() != v1::DENSE_FALLBACK_NONE;
  return sums;
}

}  // namespace seer
