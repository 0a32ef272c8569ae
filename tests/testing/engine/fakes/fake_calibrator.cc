#include "tests/testing/engine/fakes/fake_calibrator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "tests/testing/engine/fakes/fake_gate_control.h"

namespace seer {
namespace {

std::string Digest(absl::string_view text) {
  return Sha256Hex(
      {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

// All that a checkpoint is bound to.
std::string DigestOf(const CalibrationOptions& options, int64_t num_sequences) {
  return Digest(absl::StrCat(
      options.design, " ", static_cast<int>(options.target), " ",
      static_cast<int>(options.loss), " ", options.steps, " ",
      options.warmup_steps, " ", options.sequences_per_step, " ",
      options.sequence_len, " ", options.learning_rate, " ", options.seed, " ",
      options.validation_fraction, " ", options.dataset_sha256, " ",
      absl::ToUnixNanos(options.created), " ", num_sequences));
}

absl::Status Damaged() {
  return WithReason(absl::InvalidArgumentError("another run's checkpoint"),
                    {"CHECKPOINT_DAMAGED", {}, {}});
}

}  // namespace

class FakeCalibrator::Run final : public CalibrationRun {
 public:
  Run(FakeCalibrator* calibrator, const CalibrationOptions& options,
      std::shared_ptr<const TokenSequences> sequences, std::string state)
      : calibrator_(calibrator),
        options_(options),
        sequences_(std::move(sequences)),
        binding_(DigestOf(options, sequences_->num_sequences())),
        state_(std::move(state)) {}

  ~Run() override {
    MutexLock lock(&calibrator_->mutex_);
    calibrator_->is_busy_ = false;
  }

  CalibrationStatus status() const override {
    MutexLock lock(&calibrator_->mutex_);
    return StatusNow();
  }

  void RequestCheckpoint() override {
    MutexLock lock(&calibrator_->mutex_);
    is_checkpoint_wanted_ = true;
    calibrator_->changed_.NotifyAll();
  }

  std::optional<CalibrationEvent> Next(absl::Time deadline) override {
    MutexLock lock(&calibrator_->mutex_);
    while (!has_ended_) {
      int64_t& ticks = calibrator_->ticks_;
      if (is_checkpoint_wanted_ && calibrator_->options_.gives_checkpoints) {
        is_checkpoint_wanted_ = false;
        return CalibrationCheckpoint{
            absl::StrCat(binding_, " ", ticks, " ", state_), StatusNow()};
      }
      if (ticks == calibrator_->options_.error_at) {
        has_ended_ = true;
        return calibrator_->options_.run_error;
      }
      if (ticks == options_.steps + 2) return Result();
      if (ticks < calibrator_->allowed_) {
        Tick();
        calibrator_->changed_.NotifyAll();
        continue;
      }
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return std::nullopt;
      calibrator_->changed_.WaitWithTimeout(&calibrator_->mutex_, left);
    }
    return std::nullopt;
  }

 private:
  void Tick() ABSL_EXCLUSIVE_LOCKS_REQUIRED(calibrator_->mutex_) {
    const int64_t step = calibrator_->ticks_++;
    for (int64_t i = 0; i < options_.sequences_per_step; ++i) {
      const int64_t index = (step * options_.sequences_per_step + i) %
                            (sequences_->num_sequences() - 1);
      const std::vector<TokenId> ids = sequences_->Read(index).value();
      for (const TokenId id : ids) absl::StrAppend(&state_, " ", id);
    }
    state_ = Digest(state_);
  }

  CalibrationStatus StatusNow() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(calibrator_->mutex_) {
    CalibrationStatus status;
    const int64_t ticks = calibrator_->ticks_;
    status.step = std::min(ticks, options_.steps);
    status.steps = options_.steps;
    if (ticks >= options_.steps) status.phase = CalibrationPhase::kProfiling;
    if (ticks > options_.steps) status.phase = CalibrationPhase::kEvaluating;
    if (ticks > 0) {
      status.layer_losses.assign(calibrator_->options_.num_layers,
                                 1.0 / static_cast<double>(ticks));
      status.tokens_per_second = 1000.0;
      status.time_left = absl::Seconds(options_.steps - status.step);
    }
    return status;
  }

  CalibrationEvent Result() ABSL_EXCLUSIVE_LOCKS_REQUIRED(calibrator_->mutex_) {
    has_ended_ = true;
    CalibrationResult result;
    result.file =
        FakeGateFile(options_.design, calibrator_->options_.fingerprint,
                     Digest(absl::StrCat(binding_, state_)));
    result.status = StatusNow();
    result.held_out = {sequences_->num_sequences() - 1};
    result.quality.num_tokens = options_.sequence_len;
    result.quality.layers.assign(calibrator_->options_.num_layers,
                                 {0.25, {{0.5, 0.51, 0.9, 0.95, 0.8}}});
    return result;
  }

  FakeCalibrator* const calibrator_;
  const CalibrationOptions options_;
  const std::shared_ptr<const TokenSequences> sequences_;
  const std::string binding_;
  std::string state_ ABSL_GUARDED_BY(calibrator_->mutex_);
  bool is_checkpoint_wanted_ ABSL_GUARDED_BY(calibrator_->mutex_) = false;
  bool has_ended_ ABSL_GUARDED_BY(calibrator_->mutex_) = false;
};

void FakeCalibrator::Set(Options options) {
  MutexLock lock(&mutex_);
  options_ = std::move(options);
  changed_.NotifyAll();
}

void FakeCalibrator::AllowTicks(int64_t ticks) {
  MutexLock lock(&mutex_);
  allowed_ = ticks;
  changed_.NotifyAll();
}

bool FakeCalibrator::WaitForTicks(int64_t ticks) const {
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  MutexLock lock(&mutex_);
  while (!is_busy_ || ticks_ != ticks) {
    if (absl::Now() >= give_up) return false;
    changed_.WaitWithTimeout(&mutex_, give_up - absl::Now());
  }
  return true;
}

absl::StatusOr<std::unique_ptr<CalibrationRun>> FakeCalibrator::Start(
    const CalibrationOptions& options,
    std::shared_ptr<const TokenSequences> sequences,
    const std::string& checkpoint) {
  MutexLock lock(&mutex_);
  SEER_RETURN_IF_ERROR(options_.start_error);
  if (sequences->num_sequences() < 2) {
    return WithReason(absl::FailedPreconditionError("too few sequences"),
                      {"DATASET_TOO_SHORT", {}, {}});
  }
  if (is_busy_) {
    return WithReason(absl::FailedPreconditionError("another run is under way"),
                      {"BUSY", {}, {}});
  }
  int64_t ticks = 0;
  std::string state;
  if (!checkpoint.empty()) {
    const std::vector<std::string> parts = absl::StrSplit(checkpoint, ' ');
    if (parts.size() != 3 ||
        parts[0] != DigestOf(options, sequences->num_sequences()) ||
        !absl::SimpleAtoi(parts[1], &ticks)) {
      return Damaged();
    }
    state = parts[2];
  }
  ticks_ = ticks;
  is_busy_ = true;
  starts_.push_back(ticks);
  last_options_ = options;
  changed_.NotifyAll();
  return std::make_unique<Run>(this, options, std::move(sequences), state);
}

std::vector<int64_t> FakeCalibrator::starts() const {
  MutexLock lock(&mutex_);
  return starts_;
}

CalibrationOptions FakeCalibrator::last_options() const {
  MutexLock lock(&mutex_);
  return last_options_;
}

}  // namespace seer
