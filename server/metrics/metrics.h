#ifndef SEER_SERVER_METRICS_METRICS_H_
#define SEER_SERVER_METRICS_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "engine/sparsity_policy.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace seer {

// Closed sets of label values, each named as its enumerator in snake case.
// docs/metrics.md lists them with every metric.

// `method`
enum class Method {
  kComplete,
  kCompleteOnce,
  kTokenize,
  kDetokenize,
  kApplyChatTemplate,
  kGetModel,
  kGetLoad,
};
inline constexpr int kNumMethods = 7;
const char* MethodName(Method method);

// `finish_reason`: of all choices of a request.
enum class FinishLabel {
  kNone,  // no completion, or one that failed
  kStop,
  kLength,
  kEndOfText,
  kMixed,  // choices ended differently
};
inline constexpr int kNumFinishLabels = 5;
const char* FinishLabelName(FinishLabel label);

// `policy`: the budget that was asked for, after the server's default.
inline constexpr int kNumBudgetKinds = 5;
const char* BudgetKindName(BudgetKind kind);

// `reason` of a request that ended before it was done.
enum class CancelReason { kClient, kDeadline, kSlowReader, kDrain };
inline constexpr int kNumCancelReasons = 4;

// `reason` of a request that was never admitted, though well-formed.
enum class RejectReason { kQueueFull, kTokenizerBusy, kDraining, kUnhealthy };
inline constexpr int kNumRejectReasons = 4;

// What the server counts and times itself. All families and children are built
// by the constructor, so recording is an atomic or a short lock, never a map.
// Thread-safe.
class Metrics final : public EngineObserver {
 public:
  // `model` is the label of that name on every metric.
  Metrics(const std::string& model, const std::string& version);

  // EngineObserver.
  void OnStep(const StepReport& report) override;
  void OnCancelled(absl::Duration cancel_to_free) override;
  void OnMicroStep(absl::Duration duration, bool beside_requests) override;

  // An RPC ended.
  void CountRequest(Method method, absl::StatusCode code, FinishLabel finish);
  void CountCancellation(CancelReason reason);
  void CountRejection(RejectReason reason);

  // From the RPC's arrival.
  void ObserveFirstToken(int64_t prompt_tokens, BudgetKind policy,
                         absl::Duration duration);
  // Between two tokens of one choice, as the server read them.
  void ObserveInterToken(absl::Duration duration);
  // A completion ended well; `duration` is from the RPC's arrival.
  void ObserveCompletion(BudgetKind policy, const SummaryEvent& summary,
                         absl::Duration duration);

  // For the text format.
  const prometheus::Registry& registry() const { return registry_; }

 private:
  using Counter = prometheus::Counter*;
  using Histogram = prometheus::Histogram*;
  static constexpr int kNumCodes = 17;
  static constexpr int kNumLengthClasses = 4;
  static constexpr int kNumStepKinds = 3;

  void BuildRequestFamilies();
  void BuildDurationFamilies();
  void BuildStepFamilies();
  void BuildSparsityFamilies();
  void BuildInfo(const std::string& version);

  const prometheus::Labels model_;
  prometheus::Registry registry_;

  std::array<std::array<Counter, kNumCodes>, kNumMethods> requests_;
  // Of OK, by finish reason; [.][kNone] is requests_[.][OK].
  std::array<std::array<Counter, kNumFinishLabels>, kNumMethods> finished_;
  std::array<Counter, kNumCancelReasons> cancellations_;
  std::array<Counter, kNumRejectReasons> rejections_;

  std::array<std::array<Histogram, kNumBudgetKinds>, kNumLengthClasses>
      first_token_;
  std::array<Histogram, 2> inter_token_;
  Histogram duration_, queue_, prefill_, decode_;
  Histogram prompt_tokens_, output_tokens_;

  std::array<Histogram, kNumStepKinds> step_duration_, scheduler_, step_tokens_;
  std::array<Histogram, kNumStepKinds> prediction_error_;
  Histogram gate_, cancel_to_free_;
  std::array<Counter, 2> background_;  // [beside_requests]
  std::atomic<bool> last_step_had_prefill_{false};

  std::array<Histogram, kNumBudgetKinds> realized_sparsity_;
  Histogram sparsity_gap_;
  std::array<Counter, 2> dense_fallback_;
};

}  // namespace seer

#endif  // SEER_SERVER_METRICS_METRICS_H_
