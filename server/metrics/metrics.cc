#include "server/metrics/metrics.h"

#include <cmath>
#include <utility>

#include "prometheus/gauge.h"
#include "server/metrics/buckets.h"

namespace seer {
namespace {

using prometheus::Labels;

constexpr const char* kCodeNames[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};
constexpr const char* kMethodNames[] = {
    "complete",   "complete_once",       "tokenize",
    "detokenize", "apply_chat_template", "get_model",
    "get_load"};
constexpr const char* kFinishNames[] = {"none", "stop", "length", "end_of_text",
                                        "mixed"};
constexpr const char* kBudgetNames[] = {
    "dense", "target_sparsity", "top_k_blocks", "token_budget", "threshold"};
constexpr const char* kCancelNames[] = {"client", "deadline", "slow_reader",
                                        "drain"};
constexpr const char* kRejectNames[] = {"queue_full", "tokenizer_busy",
                                        "draining", "unhealthy"};
constexpr const char* kLengthNames[] = {"<=4k", "<=32k", "<=128k", "more"};
constexpr int64_t kLengthLimits[] = {4096, 32768, 131072};
constexpr const char* kStepNames[] = {"prefill", "decode", "mixed"};
constexpr const char* kFallbackNames[] = {"short_prompt", "near_dense"};

template <typename Enum>
constexpr int Index(Enum value) {
  return static_cast<int>(value);
}

int LengthClass(int64_t prompt_tokens) {
  int length_class = 0;
  while (length_class < 3 && prompt_tokens > kLengthLimits[length_class]) {
    ++length_class;
  }
  return length_class;
}

// Children of one family, one for each of a label's values.
template <size_t kSize, typename Family, typename Child>
void AddAll(Family& family, const char* label,
            const char* const (&values)[kSize],
            const std::vector<double>& buckets,
            std::array<Child, kSize>& children) {
  for (size_t i = 0; i < kSize; ++i) {
    children[i] = &family.Add({{label, values[i]}}, buckets);
  }
}

}  // namespace

const char* MethodName(Method method) { return kMethodNames[Index(method)]; }
const char* FinishLabelName(FinishLabel label) {
  return kFinishNames[Index(label)];
}
const char* BudgetKindName(BudgetKind kind) {
  return kBudgetNames[Index(kind)];
}

Metrics::Metrics(const std::string& model, const std::string& version)
    : model_({{"model", model}}) {
  BuildRequestFamilies();
  BuildDurationFamilies();
  BuildStepFamilies();
  BuildSparsityFamilies();
  BuildInfo(version);
}

void Metrics::BuildRequestFamilies() {
  auto& requests = prometheus::BuildCounter()
                       .Name("seer_requests_total")
                       .Help("RPCs that ended.")
                       .Labels(model_)
                       .Register(registry_);
  for (int method = 0; method < kNumMethods; ++method) {
    const std::string name = kMethodNames[method];
    for (int code = 0; code < kNumCodes; ++code) {
      requests_[method][code] = &requests.Add({{"method", name},
                                               {"code", kCodeNames[code]},
                                               {"finish_reason", "none"}});
    }
    finished_[method].fill(requests_[method][0]);
    const bool completes = method == Index(Method::kComplete) ||
                           method == Index(Method::kCompleteOnce);
    for (int finish = 1; completes && finish < kNumFinishLabels; ++finish) {
      finished_[method][finish] =
          &requests.Add({{"method", name},
                         {"code", "OK"},
                         {"finish_reason", kFinishNames[finish]}});
    }
  }
  auto& cancellations =
      prometheus::BuildCounter()
          .Name("seer_cancellations_total")
          .Help("Admitted requests that ended before they were done.")
          .Labels(model_)
          .Register(registry_);
  for (int i = 0; i < kNumCancelReasons; ++i) {
    cancellations_[i] = &cancellations.Add({{"reason", kCancelNames[i]}});
  }
  auto& rejections = prometheus::BuildCounter()
                         .Name("seer_admission_rejections_total")
                         .Help("Well-formed requests that were not admitted.")
                         .Labels(model_)
                         .Register(registry_);
  for (int i = 0; i < kNumRejectReasons; ++i) {
    rejections_[i] = &rejections.Add({{"reason", kRejectNames[i]}});
  }
}

void Metrics::BuildDurationFamilies() {
  auto histogram = [this](const char* name, const char* help) -> auto& {
    return prometheus::BuildHistogram()
        .Name(name)
        .Help(help)
        .Labels(model_)
        .Register(registry_);
  };
  auto& first_token = histogram("seer_time_to_first_token_seconds",
                                "From a request's arrival to its first token.");
  for (int length = 0; length < kNumLengthClasses; ++length) {
    for (int kind = 0; kind < kNumBudgetKinds; ++kind) {
      first_token_[length][kind] =
          &first_token.Add({{"prompt_length", kLengthNames[length]},
                            {"policy", kBudgetNames[kind]}},
                           FirstTokenBuckets());
    }
  }
  constexpr const char* kDuringPrefill[] = {"0", "1"};
  AddAll(histogram("seer_inter_token_latency_seconds",
                   "Between two tokens of one choice."),
         "during_prefill", kDuringPrefill, InterTokenBuckets(), inter_token_);
  auto add = [&](const char* name, const char* help,
                 const std::vector<double>& buckets) {
    return &histogram(name, help).Add({}, buckets);
  };
  const std::vector<double> durations = Doubling(0.01, 17);
  duration_ = add("seer_request_duration_seconds",
                  "From a completion's arrival to its end.", durations);
  queue_ = add("seer_request_queue_seconds",
               "From submission to the first computed chunk.", durations);
  prefill_ =
      add("seer_request_prefill_seconds",
          "From the first computed chunk to the first token.", durations);
  decode_ = add("seer_request_decode_seconds",
                "From the first token to the last.", durations);
  prompt_tokens_ = add("seer_request_prompt_tokens",
                       "Prompt tokens of a completion.", Doubling(1, 18));
  output_tokens_ =
      add("seer_request_output_tokens",
          "New tokens of a completion, over its choices.", Doubling(1, 18));
  cancel_to_free_ = add("seer_cancel_to_free_seconds",
                        "From a cancel or deadline to its pages being free.",
                        Doubling(0.0001, 18));
}

void Metrics::BuildStepFamilies() {
  auto histogram = [this](const char* name, const char* help) -> auto& {
    return prometheus::BuildHistogram()
        .Name(name)
        .Help(help)
        .Labels(model_)
        .Register(registry_);
  };
  AddAll(histogram("seer_step_duration_seconds", "One step of the engine."),
         "kind", kStepNames, StepBuckets(), step_duration_);
  AddAll(histogram("seer_scheduler_seconds",
                   "Of a step, choosing its slices and pages."),
         "kind", kStepNames, Doubling(0.000001, 18), scheduler_);
  AddAll(histogram("seer_step_tokens",
                   "Rows of a step: prompt tokens and decoded tokens."),
         "kind", kStepNames, Doubling(1, 15), step_tokens_);
  AddAll(histogram("seer_step_prediction_error_ratio",
                   "How far a step's time was from the predicted one, as a "
                   "share of it."),
         "kind", kStepNames,
         {.01, .02, .05, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10},
         prediction_error_);
  auto& background = prometheus::BuildCounter()
                         .Name("seer_background_device_seconds_total")
                         .Help("The device's time that calibrations took.")
                         .Labels(model_)
                         .Register(registry_);
  for (int i = 0; i < 2; ++i) {
    background_[i] = &background.Add({{"beside_requests", i == 0 ? "0" : "1"}});
  }
  gate_ = &histogram("seer_gate_seconds", "Of a step, scoring and selection.")
               .Add({{"phase", "score_and_select"}}, Doubling(0.00001, 18));
}

void Metrics::BuildSparsityFamilies() {
  AddAll(prometheus::BuildHistogram()
             .Name("seer_attention_realized_sparsity_ratio")
             .Help("Of a request: 1 - blocks read / blocks visible.")
             .Labels(model_)
             .Register(registry_),
         "policy", kBudgetNames, SparsityBuckets(), realized_sparsity_);
  sparsity_gap_ =
      &prometheus::BuildHistogram()
           .Name("seer_attention_sparsity_gap_ratio")
           .Help(
               "Realized less requested sparsity, of target_sparsity requests "
               "that reused no tile.")
           .Labels(model_)
           .Register(registry_)
           .Add({}, GapBuckets());
  auto& fallback = prometheus::BuildCounter()
                       .Name("seer_attention_dense_fallback_total")
                       .Help(
                           "Requests that ran dense though they asked for a "
                           "sparse budget.")
                       .Labels(model_)
                       .Register(registry_);
  for (int i = 0; i < 2; ++i) {
    dense_fallback_[i] = &fallback.Add({{"reason", kFallbackNames[i]}});
  }
}

void Metrics::BuildInfo(const std::string& version) {
  prometheus::BuildGauge()
      .Name("seer_build_info")
      .Help("1; the labels say what runs.")
      .Labels(model_)
      .Register(registry_)
      .Add({{"version", version}})
      .Set(1);
}

void Metrics::OnStep(const StepReport& report) {
  const int kind = Index(report.kind);
  step_duration_[kind]->Observe(absl::ToDoubleSeconds(report.duration));
  scheduler_[kind]->Observe(absl::ToDoubleSeconds(report.scheduler_time));
  step_tokens_[kind]->Observe(
      static_cast<double>(report.prompt_tokens + report.decode_rows));
  if (report.compute_time > absl::ZeroDuration()) {
    const double ratio =
        absl::FDivDuration(report.predicted_time, report.compute_time);
    prediction_error_[kind]->Observe(std::abs(ratio - 1.0));
  }
  if (report.gate_time > absl::ZeroDuration()) {
    gate_->Observe(absl::ToDoubleSeconds(report.gate_time));
  }
  last_step_had_prefill_.store(report.kind != StepKind::kDecode,
                               std::memory_order_relaxed);
}

void Metrics::OnCancelled(absl::Duration cancel_to_free) {
  cancel_to_free_->Observe(absl::ToDoubleSeconds(cancel_to_free));
}

void Metrics::OnMicroStep(absl::Duration duration, bool beside_requests) {
  background_[beside_requests ? 1 : 0]->Increment(
      absl::ToDoubleSeconds(duration));
}

void Metrics::CountRequest(Method method, absl::StatusCode code,
                           FinishLabel finish) {
  const int index = Index(code);
  if (code == absl::StatusCode::kOk) {
    finished_[Index(method)][Index(finish)]->Increment();
  } else if (index < kNumCodes) {
    requests_[Index(method)][index]->Increment();
  }
}

void Metrics::CountCancellation(CancelReason reason) {
  cancellations_[Index(reason)]->Increment();
}

void Metrics::CountRejection(RejectReason reason) {
  rejections_[Index(reason)]->Increment();
}

void Metrics::ObserveFirstToken(int64_t prompt_tokens, BudgetKind policy,
                                absl::Duration duration) {
  first_token_[LengthClass(prompt_tokens)][Index(policy)]->Observe(
      absl::ToDoubleSeconds(duration));
}

void Metrics::ObserveInterToken(absl::Duration duration) {
  const bool prefill = last_step_had_prefill_.load(std::memory_order_relaxed);
  inter_token_[prefill ? 1 : 0]->Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::ObserveCompletion(BudgetKind policy, const SummaryEvent& summary,
                                absl::Duration duration) {
  duration_->Observe(absl::ToDoubleSeconds(duration));
  queue_->Observe(absl::ToDoubleSeconds(summary.queue_time));
  prefill_->Observe(absl::ToDoubleSeconds(summary.prefill_time));
  decode_->Observe(absl::ToDoubleSeconds(summary.decode_time));
  prompt_tokens_->Observe(static_cast<double>(summary.prompt_tokens));
  output_tokens_->Observe(static_cast<double>(summary.output_tokens));
  const SparsityReport& report = summary.sparsity;
  if (report.Visible() > 0) {
    const double realized = report.RealizedSparsity();
    realized_sparsity_[Index(policy)]->Observe(realized);
    // Where no gate set stands behind the default policy, that asks nothing.
    if (policy == BudgetKind::kTargetSparsity &&
        report.effective.budget.kind == policy && report.tiles_reused == 0) {
      sparsity_gap_->Observe(realized -
                             report.requested.budget.target_sparsity);
    }
  }
  switch (report.effective.dense_fallback) {
    case DenseFallback::kNone:
      break;
    case DenseFallback::kShortPrompt:
      dense_fallback_[0]->Increment();
      break;
    case DenseFallback::kNearDense:
      dense_fallback_[1]->Increment();
      break;
  }
}

}  // namespace seer
