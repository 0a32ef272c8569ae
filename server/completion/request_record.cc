#include "server/completion/request_record.h"

#include <utility>
#include <variant>

#include "base/logging.h"
#include "engine/errors.h"

namespace seer {
namespace {

FinishLabel LabelOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return FinishLabel::kStop;
    case FinishReason::kLength:
      return FinishLabel::kLength;
    case FinishReason::kEndOfText:
      return FinishLabel::kEndOfText;
  }
  return FinishLabel::kNone;
}

}  // namespace

RequestRecord::RequestRecord(Metrics* metrics, Method method,
                             std::string request_id, absl::Time arrival)
    : metrics_(metrics),
      method_(method),
      request_id_(std::move(request_id)),
      arrival_(arrival) {}

void RequestRecord::OnAsked(BudgetKind policy) { policy_ = policy; }

void RequestRecord::OnDecoded(const GenerationRequest& request) {
  client_request_id_ = request.client_request_id;
  if (request.policy) policy_ = request.policy->budget.kind;
  prompt_tokens_ = static_cast<int64_t>(request.prompt.size());
  last_token_.resize(request.num_choices);
}

void RequestRecord::OnAdmitted() { admitted_ = true; }

void RequestRecord::OnEvent(const Event& event, absl::Time now) {
  if (const auto* delta = std::get_if<DeltaEvent>(&event)) {
    OnDelta(*delta, now);
  } else if (const auto* finish = std::get_if<FinishEvent>(&event)) {
    const FinishLabel label = LabelOf(finish->reason);
    finish_ = finish_ == FinishLabel::kNone || finish_ == label
                  ? label
                  : FinishLabel::kMixed;
  } else if (const auto* summary = std::get_if<SummaryEvent>(&event)) {
    summary_ = *summary;
  } else if (const auto* accepted = std::get_if<AcceptedEvent>(&event)) {
    gate_ = accepted->gate;
    gate_version_ = accepted->gate_version;
  }
}

void RequestRecord::OnDelta(const DeltaEvent& delta, absl::Time now) {
  const int64_t num_tokens = static_cast<int64_t>(delta.token_ids.size());
  if (num_tokens == 0) return;
  output_tokens_ += num_tokens;
  if (!time_to_first_token_) {
    time_to_first_token_ = now - arrival_;
    metrics_->ObserveFirstToken(prompt_tokens_, policy_, *time_to_first_token_);
  }
  std::optional<absl::Time>& last = last_token_[delta.index];
  if (last) {
    // Tokens that came together share the time since the one before.
    for (int64_t i = 0; i < num_tokens; ++i) {
      metrics_->ObserveInterToken((now - *last) / num_tokens);
    }
  }
  last = now;
}

void RequestRecord::OnEnd(const absl::Status& status, absl::Time now) {
  const absl::Duration duration = now - arrival_;
  if (status.ok()) {
    metrics_->CountRequest(method_, status.code(), finish_);
    if (summary_) metrics_->ObserveCompletion(policy_, *summary_, duration);
  } else {
    metrics_->CountRequest(method_, status.code(), FinishLabel::kNone);
    CountFailure(status);
  }
  LogEnd(status, duration);
}

void RequestRecord::CountFailure(const absl::Status& status) {
  const auto reason = ReasonOf(status);
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
      if (admitted_) metrics_->CountCancellation(CancelReason::kClient);
      break;
    case absl::StatusCode::kDeadlineExceeded:
      if (admitted_) metrics_->CountCancellation(CancelReason::kDeadline);
      break;
    case absl::StatusCode::kResourceExhausted:
      if (!admitted_) {
        metrics_->CountRejection(reason && reason->reason == "TOKENIZER_BUSY"
                                     ? RejectReason::kTokenizerBusy
                                     : RejectReason::kQueueFull);
      } else if (reason && reason->reason == "SLOW_READER") {
        metrics_->CountCancellation(CancelReason::kSlowReader);
      }
      break;
    case absl::StatusCode::kUnavailable:
      if (admitted_) {
        metrics_->CountCancellation(CancelReason::kDrain);
      } else {
        metrics_->CountRejection(RejectReason::kDraining);
      }
      break;
    case absl::StatusCode::kInternal:
      if (!admitted_) metrics_->CountRejection(RejectReason::kUnhealthy);
      break;
    default:
      break;
  }
}

void RequestRecord::LogEnd(const absl::Status& status,
                           absl::Duration duration) const {
  if (!LogEnabled(LogLevel::kInfo)) return;
  const SparsityReport report =
      summary_ ? summary_->sparsity : SparsityReport();
  const auto reason = ReasonOf(status);
  Log(LogLevel::kInfo, "request ended",
      {{"request_id", request_id_},
       {"client_request_id", client_request_id_},
       {"method", MethodName(method_)},
       {"code", absl::StatusCodeToString(status.code())},
       {"field", FieldOf(status).value_or("")},
       {"reason", reason ? reason->reason : std::string()},
       {"finish_reason", FinishLabelName(finish_)},
       {"prompt_tokens", prompt_tokens_},
       {"output_tokens", output_tokens_},
       {"time_to_first_token_seconds",
        absl::ToDoubleSeconds(
            time_to_first_token_.value_or(absl::ZeroDuration()))},
       {"policy", BudgetKindName(policy_)},
       {"realized_sparsity", report.RealizedSparsity()},
       {"gate", gate_},
       {"gate_version", gate_version_},
       {"duration_seconds", absl::ToDoubleSeconds(duration)}});
}

}  // namespace seer
