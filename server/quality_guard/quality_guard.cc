#include "server/quality_guard/quality_guard.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/option_range.h"
#include "server/quality_guard/dense_twin.h"
#include "server/quality_guard/kl_divergence.h"

namespace seer {
namespace {

// Of a twin that gave nothing; unset: the guard itself left off.
std::optional<GuardDropLabel> LabelOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
      return std::nullopt;
    case absl::StatusCode::kResourceExhausted:
      return GuardDropLabel::kBusy;
    case absl::StatusCode::kUnavailable:
      return GuardDropLabel::kDraining;
    case absl::StatusCode::kDeadlineExceeded:
      return GuardDropLabel::kLate;
    default:
      return GuardDropLabel::kFailed;
  }
}

}  // namespace

absl::Status QualityGuardOptions::Validate() const {
  if (!(fraction >= 0.0 && fraction <= 1.0)) {
    return absl::InvalidArgumentError(
        "quality_guard_fraction must be in [0, 1]");
  }
  SEER_RETURN_IF_ERROR(InRange("quality_guard_max_prompt_tokens",
                               max_prompt_tokens, 1, 1 << 20));
  SEER_RETURN_IF_ERROR(
      InRange("quality_guard_max_samples", max_samples, 1, 4096));
  if (max_twin_time <= absl::ZeroDuration() ||
      poll_period <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "times of the quality guard must be positive");
  }
  return absl::OkStatus();
}

double GuardPoint(absl::string_view request_id, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325 ^ seed;  // FNV-1a
  for (const char c : request_id) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  // The finalizer of SplitMix64: FNV leaves the high bits little mixed.
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  hash ^= hash >> 31;
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

QualityGuard::QualityGuard(Engine* engine, GuardMetrics* metrics,
                           const QualityGuardOptions& options)
    : engine_(engine),
      metrics_(metrics),
      options_(options),
      thread_([this] { Run(); }) {}

QualityGuard::~QualityGuard() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

std::unique_ptr<GuardSample> QualityGuard::Choose(BudgetKind asked,
                                                  GenerationRequest& request) {
  if (asked == BudgetKind::kDense || request.max_tokens == 0) return nullptr;
  if (static_cast<int64_t>(request.prompt.size()) >
      options_.max_prompt_tokens) {
    return nullptr;
  }
  if (GuardPoint(request.request_id, options_.seed) >= options_.fraction) {
    return nullptr;
  }
  auto place = std::make_unique<GuardPlace>(&num_held_);
  if (num_held_ > options_.max_samples) {
    metrics_->CountDrop(GuardDropLabel::kFull);
    return nullptr;
  }
  request.wants_first_distribution = true;
  return std::make_unique<GuardSample>(std::move(place), request);
}

void QualityGuard::Compare(std::unique_ptr<GuardSample> sample) {
  if (sample == nullptr || !sample->is_complete()) return;
  MutexLock lock(&mutex_);
  queue_.push_back(std::move(sample));
  changed_.NotifyAll();
}

bool QualityGuard::stopping() const {
  MutexLock lock(&mutex_);
  return stopping_;
}

void QualityGuard::Run() {
  while (true) {
    std::unique_ptr<GuardSample> sample;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && queue_.empty()) changed_.Wait(&mutex_);
      if (stopping_) return;
      sample = std::move(queue_.front());
      queue_.pop_front();
    }
    CompareOne(*sample);
  }
}

void QualityGuard::CompareOne(const GuardSample& sample) {
  absl::StatusOr<std::vector<float>> dense = RunDenseTwin(
      engine_, sample.prompt(), {options_.max_twin_time, options_.poll_period},
      [this] { return stopping(); });
  if (dense.ok() && dense->size() != sample.logprobs().size()) {
    dense = absl::InternalError("a prefill gave no distribution");
  }
  if (!dense.ok()) {
    const auto label = LabelOf(dense.status());
    if (label) metrics_->CountDrop(*label);
    Log(LogLevel::kDebug, "quality guard dropped a sample",
        {{"request_id", sample.request_id()},
         {"reason", dense.status().message()}});
    return;
  }
  const double kl = KlDivergence(*dense, sample.logprobs());
  metrics_->ObserveKl(sample.gate(), kl);
  Log(LogLevel::kInfo, "quality guard compared",
      {{"request_id", sample.request_id()},
       {"gate", sample.gate()},
       {"gate_version", sample.gate_version()},
       {"prompt_tokens", static_cast<int64_t>(sample.prompt().size())},
       {"kl_nats", kl}});
}

}  // namespace seer
