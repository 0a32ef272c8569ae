// How long to wait before the next try of a call.
#ifndef SEER_CLIENT_CONNECTION_BACKOFF_H_
#define SEER_CLIENT_CONNECTION_BACKOFF_H_

#include <cstdint>
#include <optional>
#include <random>

#include "absl/time/time.h"

namespace seer {

struct RetryOptions {
  // Tries in all, >= 1; 1 never retries.
  int max_attempts = 4;
  // Wait before the second try, doubled for each further one up to
  // max_backoff. Both > 0.
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(5);
};

// The waits of one call: exponential, each drawn evenly from the upper half of
// its range so that clients refused together do not return together.
class Backoff {
 public:
  // Equal seeds give equal waits.
  Backoff(const RetryOptions& options, uint64_t seed);

  // The wait before the next try, at least `retry_delay` if the server asked
  // for one; nullopt when the tries are used up.
  std::optional<absl::Duration> Next(std::optional<absl::Duration> retry_delay);

 private:
  int attempts_left_;
  absl::Duration range_;
  absl::Duration max_range_;
  std::minstd_rand random_;
};

}  // namespace seer

#endif  // SEER_CLIENT_CONNECTION_BACKOFF_H_
