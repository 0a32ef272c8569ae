#ifndef SEER_SERVER_CALIBRATION_JOBS_RUN_SEQUENCE_SCORER_H_
#define SEER_SERVER_CALIBRATION_JOBS_RUN_SEQUENCE_SCORER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/sparsity_policy.h"
#include "engine/token.h"

namespace seer {

// A text's likelihood under the model.
struct SequenceScore {
  double log_likelihood = 0.0;  // nats, of all tokens but the first
  int64_t num_tokens = 0;       // these
};

// Scores sequences beside the requests that an engine serves: one at a time, in
// the background (Priority), and, while other requests are there, with pauses
// that keep it to a share of the time. Not thread-safe.
class SequenceScorer {
 public:
  struct Options {
    double device_share = 1.0;  // (0, 1]
    absl::Duration poll_period = absl::Milliseconds(50);
  };

  // `engine` is borrowed. `interrupted` is asked every poll period.
  SequenceScorer(Engine* engine, const Options& options,
                 std::function<bool()> interrupted);

  // Waits for as long as the engine is busy. CANCELLED: interrupted.
  // RESOURCE_EXHAUSTED, OUT_OF_MEMORY: again and again, or the sequence never
  // fits. UNAVAILABLE: the engine stops. INTERNAL: it has failed. Other errors
  // of Engine::Submit.
  absl::StatusOr<SequenceScore> Score(const std::vector<TokenId>& sequence,
                                      const SparsityPolicy& policy);

  // CANCELLED: interrupted before so long was over.
  absl::Status Wait(absl::Duration duration) const;

 private:
  absl::StatusOr<SequenceScore> Try(const std::vector<TokenId>& sequence,
                                    const SparsityPolicy& policy);
  // Gives the device to others for what the last request took of it.
  absl::Status Yield(absl::Duration taken) const;

  Engine* const engine_;
  const Options options_;
  const std::function<bool()> interrupted_;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RUN_SEQUENCE_SCORER_H_
