#include "server/quality_guard/kl_divergence.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace seer {

double KlDivergence(absl::Span<const float> log_p,
                    absl::Span<const float> log_q) {
  double sum = 0.0;
  for (size_t i = 0; i < log_p.size(); ++i) {
    const double p = std::exp(double{log_p[i]});
    const double q = std::exp(double{log_q[i]});
    sum += p * (double{log_p[i]} - double{log_q[i]}) - (p - q);
  }
  return std::max(sum, 0.0);
}

}  // namespace seer
