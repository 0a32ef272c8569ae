#include "engine/scheduler/admission.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/errors.h"

namespace seer {
namespace {

// The weight of the initial throughput, as time computed at it.
constexpr double kInitialSeconds = 1.0;

}  // namespace

absl::Status AdmissionOptions::Validate() const {
  if (max_waiting_requests < 1 || max_backlog_tokens < 1) {
    return absl::InvalidArgumentError(
        "max_waiting_requests and max_backlog_tokens must be above 0");
  }
  if (!(initial_tokens_per_second > 0.0) ||
      !std::isfinite(initial_tokens_per_second)) {
    return absl::InvalidArgumentError(
        "initial_tokens_per_second must be above 0 and finite");
  }
  if (averaging_time <= absl::ZeroDuration() ||
      min_retry_delay <= absl::ZeroDuration() ||
      max_retry_delay < min_retry_delay ||
      max_retry_delay == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        "averaging_time and min_retry_delay must be above 0, max_retry_delay "
        "finite and no less than min_retry_delay");
  }
  return absl::OkStatus();
}

Admission::Place::Place(Place&& other) noexcept { *this = std::move(other); }

Admission::Place& Admission::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  Leave();
  admission_ = std::exchange(other.admission_, nullptr);
  queue_position_ = other.queue_position_;
  tokens_left_ = other.tokens_left_;
  waiting_ = other.waiting_;
  return *this;
}

Admission::Place::~Place() { Leave(); }

void Admission::Place::Start() {
  if (admission_ == nullptr || !waiting_) return;
  waiting_ = false;
  MutexLock lock(&admission_->mutex_);
  --admission_->waiting_requests_;
}

void Admission::Place::Advance(int64_t tokens) {
  if (admission_ == nullptr) return;
  tokens = std::clamp<int64_t>(tokens, 0, tokens_left_);
  tokens_left_ -= tokens;
  MutexLock lock(&admission_->mutex_);
  admission_->backlog_tokens_ -= tokens;
}

void Admission::Place::Leave() {
  if (admission_ == nullptr) return;
  MutexLock lock(&admission_->mutex_);
  admission_->backlog_tokens_ -= tokens_left_;
  if (waiting_) --admission_->waiting_requests_;
}

Admission::Admission(const AdmissionOptions& options)
    : options_(options),
      recent_tokens_(options.initial_tokens_per_second * kInitialSeconds),
      recent_seconds_(kInitialSeconds) {}

absl::StatusOr<Admission::Place> Admission::Enter(int64_t prompt_tokens) {
  MutexLock lock(&mutex_);
  if (draining_) {
    // Another server, or this one started again, takes it once all here ends.
    return WithReason(
        WithRetryDelay(absl::UnavailableError("the engine is draining"),
                       RetryDelay(backlog_tokens_)),
        {"DRAINING", std::nullopt, std::nullopt});
  }
  if (waiting_requests_ >= options_.max_waiting_requests) {
    // Room comes with the next start: a queue's share of the backlog.
    return WithReason(
        WithRetryDelay(
            absl::ResourceExhaustedError("too many requests are waiting"),
            RetryDelay(backlog_tokens_ / waiting_requests_)),
        {"QUEUE_FULL", options_.max_waiting_requests, waiting_requests_});
  }
  if (backlog_tokens_ > 0 &&
      prompt_tokens > options_.max_backlog_tokens - backlog_tokens_) {
    const int64_t excess =
        std::min(backlog_tokens_,
                 backlog_tokens_ - options_.max_backlog_tokens + prompt_tokens);
    return WithReason(WithRetryDelay(absl::ResourceExhaustedError(
                                         "too many prompt tokens are waiting"),
                                     RetryDelay(excess)),
                      {"BACKLOG_FULL", options_.max_backlog_tokens,
                       backlog_tokens_ + prompt_tokens});
  }
  Place place;
  place.admission_ = this;
  place.queue_position_ = waiting_requests_;
  place.tokens_left_ = prompt_tokens;
  place.waiting_ = true;
  ++waiting_requests_;
  backlog_tokens_ += prompt_tokens;
  return place;
}

void Admission::RecordStep(int64_t prompt_tokens, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  if (!(seconds > 0.0)) return;
  MutexLock lock(&mutex_);
  if (backlog_tokens_ == 0) return;
  const double decay =
      std::exp(-seconds / absl::ToDoubleSeconds(options_.averaging_time));
  recent_tokens_ = recent_tokens_ * decay + static_cast<double>(prompt_tokens);
  recent_seconds_ = recent_seconds_ * decay + seconds;
}

void Admission::StartDraining() {
  MutexLock lock(&mutex_);
  draining_ = true;
}

Admission::Load Admission::load() const {
  MutexLock lock(&mutex_);
  Load load;
  load.waiting_requests = waiting_requests_;
  load.backlog_tokens = backlog_tokens_;
  load.tokens_per_second = TokensPerSecond();
  load.predicted_queue_delay = absl::Seconds(
      static_cast<double>(backlog_tokens_) / load.tokens_per_second);
  load.draining = draining_;
  return load;
}

double Admission::TokensPerSecond() const {
  // Above 0 even when requests wait long for pages and nothing is computed.
  constexpr double kLowest = 1e-3;
  return std::max(recent_tokens_ / recent_seconds_, kLowest);
}

absl::Duration Admission::RetryDelay(int64_t tokens) const {
  const double seconds = static_cast<double>(tokens) / TokensPerSecond();
  return std::clamp(absl::Seconds(seconds), options_.min_retry_delay,
                    options_.max_retry_delay);
}

}  // namespace seer
