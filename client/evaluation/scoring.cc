#include "client/evaluation/scoring.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/thread/mutex.h"
#include "base/thread/thread_pool.h"

namespace seer {

absl::StatusOr<ScoredTokens> ScoreTokens(const Scorer& scorer,
                                         const ScoringJob& job) {
  v1::CompleteRequest request;
  request.mutable_token_ids()->mutable_ids()->Assign(job.ids.begin(),
                                                     job.ids.end());
  request.set_max_tokens(0);
  request.set_prompt_logprobs(0);
  request.set_bypass_prefix_cache(true);
  *request.mutable_sparsity() = job.policy;
  ScoredTokens scored;
  SEER_RETURN_IF_ERROR(scorer.client.Complete(
      request,
      [&](const v1::CompleteResponse& frame) {
        for (const v1::LogprobEntry& entry :
             frame.prompt_logprobs().entries()) {
          scored.logprobs.push_back(entry.token().logprob());
        }
        if (frame.has_summary()) scored.sparsity = frame.summary().sparsity();
        return true;
      },
      scorer.options));
  if (scored.logprobs.size() + 1 != job.ids.size()) {
    return absl::InternalError(
        absl::StrCat(job.ids.size(), " tokens were sent, ",
                     scored.logprobs.size(), " log-probabilities came back"));
  }
  for (size_t i = 0; i < scored.logprobs.size(); ++i) {
    if (!std::isfinite(scored.logprobs[i])) {
      return absl::InternalError(absl::StrCat(
          "the log-probability of token ", i + 1, " is ", scored.logprobs[i]));
    }
  }
  return scored;
}

void ScoreAll(
    const Scorer& scorer, int64_t num_jobs,
    absl::FunctionRef<ScoringJob(int64_t)> job,
    absl::FunctionRef<void(int64_t, absl::StatusOr<ScoredTokens>)> result) {
  Mutex mutex;
  int64_t num_done = 0;  // guarded by mutex, as `gone` is
  absl::Status gone;
  ThreadPool threads(scorer.concurrency);
  threads.ParallelFor(num_jobs, [&](int64_t i) {
    absl::StatusOr<ScoredTokens> scored =
        [&]() -> absl::StatusOr<ScoredTokens> {
      {
        MutexLock lock(&mutex);
        if (!gone.ok()) return gone;
      }
      return ScoreTokens(scorer, job(i));
    }();
    const absl::Status status = scored.status();
    result(i, std::move(scored));
    MutexLock lock(&mutex);
    if (absl::IsCancelled(status) || absl::IsUnavailable(status)) gone = status;
    if (scorer.on_progress) scorer.on_progress(++num_done, num_jobs);
  });
}

}  // namespace seer
