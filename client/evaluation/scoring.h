// Likelihoods of given tokens through the service, several prompts at a time.
#ifndef SEER_CLIENT_EVALUATION_SCORING_H_
#define SEER_CLIENT_EVALUATION_SCORING_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/completion/completion_client.h"
#include "proto/seer/v1/completion.pb.h"

namespace seer {

struct ScoringJob {
  std::vector<int32_t> ids;  // the prompt; at least two
  v1::SparsityPolicy policy;
};

struct ScoredTokens {
  // Natural logarithms of the probability of each token but the first, given
  // those before it: [ids - 1], all finite.
  std::vector<double> logprobs;
  v1::SparsityReport sparsity;
};

// How to score. `client` is borrowed.
struct Scorer {
  const CompletionClient& client;
  CallOptions options;  // of each call
  int concurrency = 1;  // calls at the same time, at least 1
  // Told of calls that ended, one at a time: how many, of how many.
  std::function<void(int64_t, int64_t)> on_progress;
};

// Errors are the call's; INTERNAL: an answer that does not fit the prompt.
absl::StatusOr<ScoredTokens> ScoreTokens(const Scorer& scorer,
                                         const ScoringJob& job);

// Scores `num_jobs` prompts. `job(i)` makes one when its turn comes and
// `result(i, ...)` takes what came of it; both are called on several threads at
// once, each once a job. After a call that was cancelled, or that did not reach
// the server with all its retries, the rest is not sent and ends like it.
void ScoreAll(
    const Scorer& scorer, int64_t num_jobs,
    absl::FunctionRef<ScoringJob(int64_t)> job,
    absl::FunctionRef<void(int64_t, absl::StatusOr<ScoredTokens>)> result);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_SCORING_H_
