#include "client/connection/backoff.h"

#include <algorithm>

namespace seer {

Backoff::Backoff(const RetryOptions& options, uint64_t seed)
    : attempts_left_(options.max_attempts - 1),
      range_(std::min(options.initial_backoff, options.max_backoff)),
      max_range_(options.max_backoff),
      random_(static_cast<std::minstd_rand::result_type>(seed)) {}

std::optional<absl::Duration> Backoff::Next(
    std::optional<absl::Duration> retry_delay) {
  if (attempts_left_ <= 0) return std::nullopt;
  --attempts_left_;
  const absl::Duration wait =
      range_ * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  range_ = std::min(2 * range_, max_range_);
  return std::max(wait, retry_delay.value_or(absl::ZeroDuration()));
}

}  // namespace seer
