#ifndef SEER_SERVER_QUALITY_GUARD_QUALITY_GUARD_H_
#define SEER_SERVER_QUALITY_GUARD_QUALITY_GUARD_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "engine/sparsity_policy.h"
#include "server/metrics/guard_metrics.h"
#include "server/quality_guard/guard_sample.h"

namespace seer {

struct QualityGuardOptions {
  // Of the requests that may be chosen, [0, 1]; 0: none. Each costs a dense
  // prefill more: a hundredth adds a hundredth of what serving them densely
  // would take, and a thousand requests give ten comparisons.
  double fraction = 0.01;
  // Longer prompts are not chosen: their twins would take too long. [1, 2^20]
  int64_t max_prompt_tokens = 8192;
  // Chosen requests that run or wait for their twins. Bounds the memory to as
  // many prompts and distributions of 4 bytes a token. [1, 4096]
  int64_t max_samples = 16;
  // Of one twin.
  absl::Duration max_twin_time = absl::Seconds(60);
  absl::Duration poll_period = absl::Milliseconds(20);
  // Of the hash of request ids: another than the canary's, whose requests must
  // not be the ones chosen more often.
  uint64_t seed = 0x7365657267756172;

  // INVALID_ARGUMENT: a value out of its range.
  absl::Status Validate() const;
};

// Compares what is served with what dense attention would have served: a
// fraction of the sparse requests is prefilled again, densely, when they have
// ended, and KL(dense || sparse) of the two distributions of the first token
// goes to the metrics, by gate set. One twin at a time, and none while a
// request waits. No client waits, is refused or is told anything for it.
// docs/design/quality_guard.md. Thread-safe.
//
//   auto sample = guard.Choose(asked, request);  // before Submit
//   if (sample != nullptr && sample->Take(event)) ...  // the guard's alone
//   guard.Compare(std::move(sample));  // when the request has ended
class QualityGuard {
 public:
  // Both are borrowed. `options` must be valid.
  QualityGuard(Engine* engine, GuardMetrics* metrics,
               const QualityGuardOptions& options);
  // Leaves off. Every sample must be gone.
  ~QualityGuard();
  QualityGuard(const QualityGuard&) = delete;
  QualityGuard& operator=(const QualityGuard&) = delete;

  // Where the request, whose policy or the default one asks for a budget of
  // kind `asked`, is chosen: has its first distribution be given, and returns
  // its sample. Null: it is not. It never is where the budget is dense, it
  // draws no token or its prompt is too long.
  std::unique_ptr<GuardSample> Choose(BudgetKind asked,
                                      GenerationRequest& request);

  // The sample's request has ended. Null, and what is not complete, is dropped.
  void Compare(std::unique_ptr<GuardSample> sample);

 private:
  void Run();
  void CompareOne(const GuardSample& sample);
  bool stopping() const;

  Engine* const engine_;
  GuardMetrics* const metrics_;
  const QualityGuardOptions options_;
  std::atomic<int64_t> num_held_{0};

  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<std::unique_ptr<GuardSample>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// Of a request's id: uniform in [0, 1), the same for the same seed.
double GuardPoint(absl::string_view request_id, uint64_t seed);

}  // namespace seer

#endif  // SEER_SERVER_QUALITY_GUARD_QUALITY_GUARD_H_
