#include "server/calibration_jobs/run/sequence_scorer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/thread/mutex.h"
#include "engine/errors.h"
#include "engine/request.h"
#include "server/random_id.h"

namespace seer {
namespace {

constexpr int kMaxOutOfMemory = 10;

absl::Status Interrupted() {
  return absl::CancelledError("left off while scoring");
}

bool HasReason(const absl::Status& status, const char* reason) {
  const std::optional<ErrorReason> known = ReasonOf(status);
  return known && known->reason == reason;
}

// What has come of a stream so far.
struct Outcome {
  SequenceScore score;
  std::optional<absl::Status> end;

  void Add(const Event& event) {
    if (const auto* logprobs = std::get_if<PromptLogprobsEvent>(&event)) {
      for (const LogprobEntry& entry : logprobs->entries) {
        score.log_likelihood += entry.token.logprob;
      }
      score.num_tokens += static_cast<int64_t>(logprobs->entries.size());
    } else if (const auto* failure = std::get_if<FailureEvent>(&event)) {
      end = failure->status;
    } else if (std::holds_alternative<SummaryEvent>(event)) {
      end = absl::OkStatus();
    }
  }
};

}  // namespace

SequenceScorer::SequenceScorer(Engine* engine, const Options& options,
                               std::function<bool()> interrupted)
    : engine_(engine),
      options_(options),
      interrupted_(std::move(interrupted)) {}

absl::Status SequenceScorer::Wait(absl::Duration duration) const {
  const absl::Time end = absl::Now() + duration;
  while (!interrupted_()) {
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::OkStatus();
    absl::SleepFor(std::min(left, options_.poll_period));
  }
  return Interrupted();
}

absl::Status SequenceScorer::Yield(absl::Duration taken) const {
  const absl::Time end =
      absl::Now() + taken * (1.0 / options_.device_share - 1.0);
  while (absl::Now() < end) {
    const EngineStats stats = engine_->Stats();
    if (stats.requests_running + stats.requests_waiting == 0) break;
    SEER_RETURN_IF_ERROR(
        Wait(std::min(end - absl::Now(), options_.poll_period)));
  }
  return absl::OkStatus();
}

absl::StatusOr<SequenceScore> SequenceScorer::Try(
    const std::vector<TokenId>& sequence, const SparsityPolicy& policy) {
  GenerationRequest request;
  request.request_id = NewRandomId();
  request.prompt = sequence;
  request.max_tokens = 0;
  request.num_prompt_logprobs = 0;
  request.policy = policy;
  request.priority = Priority::kBackground;
  Mutex mutex;
  CondVar ready;
  bool is_ready = false;
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<TokenStream> stream,
                        engine_->Submit(std::move(request)));
  stream->OnReady([&] {
    MutexLock lock(&mutex);
    is_ready = true;
    ready.NotifyAll();
  });
  Outcome outcome;
  while (true) {
    for (Event event; !outcome.end && stream->TryNext(&event);) {
      outcome.Add(event);
    }
    if (outcome.end) break;
    if (interrupted_()) return Interrupted();
    MutexLock lock(&mutex);
    if (!is_ready) ready.WaitWithTimeout(&mutex, options_.poll_period);
    is_ready = false;
  }
  SEER_RETURN_IF_ERROR(*outcome.end);
  if (outcome.score.num_tokens + 1 != static_cast<int64_t>(sequence.size())) {
    return absl::InternalError("the engine scored other tokens than it should");
  }
  return outcome.score;
}

absl::StatusOr<SequenceScore> SequenceScorer::Score(
    const std::vector<TokenId>& sequence, const SparsityPolicy& policy) {
  for (int num_out_of_memory = 0;;) {
    if (interrupted_()) return Interrupted();
    const absl::Time start = absl::Now();
    absl::StatusOr<SequenceScore> score = Try(sequence, policy);
    if (score.ok()) {
      SEER_RETURN_IF_ERROR(Yield(absl::Now() - start));
      return score;
    }
    const absl::Status& error = score.status();
    if (HasReason(error, "CONTEXT_TOO_LONG")) {
      return WithReason(
          absl::ResourceExhaustedError(
              "a sequence does not fit the memory for keys and values"),
          {"OUT_OF_MEMORY", {}, {}});
    }
    if (!absl::IsResourceExhausted(error)) return error;
    if (HasReason(error, "OUT_OF_MEMORY") &&
        ++num_out_of_memory == kMaxOutOfMemory) {
      return error;
    }
    SEER_RETURN_IF_ERROR(Wait(RetryDelayOf(error).value_or(absl::Seconds(1))));
  }
}

}  // namespace seer
