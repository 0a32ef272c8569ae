#include "engine/llama_engine/background/calibration_channel.h"

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "engine/calibration/files/tensor_file.h"

namespace seer {
namespace {

class ChannelRun final : public CalibrationRun {
 public:
  explicit ChannelRun(std::shared_ptr<CalibrationChannel> channel)
      : channel_(std::move(channel)) {}
  ~ChannelRun() override { channel_->Abandon(); }

  CalibrationStatus status() const override { return channel_->status(); }
  void RequestCheckpoint() override { channel_->RequestCheckpoint(); }
  std::optional<CalibrationEvent> Next(absl::Time deadline) override {
    return channel_->Next(deadline);
  }

 private:
  const std::shared_ptr<CalibrationChannel> channel_;
};

}  // namespace

CalibrationChannel::CalibrationChannel(std::string identity,
                                       CalibrationStatus status,
                                       std::function<void()> wake)
    : identity_(std::move(identity)),
      wake_(std::move(wake)),
      status_(std::move(status)) {}

void CalibrationChannel::SetStatus(CalibrationStatus status) {
  MutexLock lock(&mutex_);
  status_ = std::move(status);
}

bool CalibrationChannel::TakeCheckpointRequest() {
  MutexLock lock(&mutex_);
  return std::exchange(wants_checkpoint_, false);
}

void CalibrationChannel::PushCheckpoint(std::unique_ptr<RunState> state) {
  {
    MutexLock lock(&mutex_);
    if (abandoned_) return;
    checkpoint_.swap(state);
    checkpoint_status_ = status_;
  }
  changed_.NotifyAll();
}

void CalibrationChannel::PushResult(DistillationResult result) {
  {
    MutexLock lock(&mutex_);
    ended_ = true;
    if (!abandoned_) result_ = std::move(result);
  }
  changed_.NotifyAll();
}

void CalibrationChannel::PushError(absl::Status status) {
  {
    MutexLock lock(&mutex_);
    ended_ = true;
    error_ = std::move(status);
  }
  changed_.NotifyAll();
}

bool CalibrationChannel::is_over() const {
  MutexLock lock(&mutex_);
  return ended_ || abandoned_;
}

bool CalibrationChannel::is_abandoned() const {
  MutexLock lock(&mutex_);
  return abandoned_;
}

CalibrationStatus CalibrationChannel::status() const {
  MutexLock lock(&mutex_);
  return status_;
}

void CalibrationChannel::RequestCheckpoint() {
  {
    MutexLock lock(&mutex_);
    wants_checkpoint_ = true;
  }
  wake_();
}

void CalibrationChannel::Abandon() {
  // The engine's thread keeps the channel until it looks again.
  std::unique_ptr<RunState> checkpoint;
  std::optional<DistillationResult> result;
  {
    MutexLock lock(&mutex_);
    abandoned_ = true;
    checkpoint.swap(checkpoint_);
    result.swap(result_);
  }
  wake_();
}

std::optional<CalibrationChannel::Waiting> CalibrationChannel::Take(
    absl::Time deadline) {
  MutexLock lock(&mutex_);
  while (checkpoint_ == nullptr && !result_.has_value() && error_.ok()) {
    // Nothing comes after the end.
    const absl::Duration left = deadline - absl::Now();
    if (ended_ || left <= absl::ZeroDuration()) return std::nullopt;
    changed_.WaitWithTimeout(&mutex_, left);
  }
  Waiting waiting;
  waiting.checkpoint = std::move(checkpoint_);
  if (waiting.checkpoint != nullptr) {
    waiting.status = checkpoint_status_;
    return waiting;
  }
  waiting.status = status_;
  waiting.result = std::exchange(result_, std::nullopt);
  waiting.error = std::exchange(error_, absl::OkStatus());
  return waiting;
}

std::optional<CalibrationEvent> CalibrationChannel::Next(absl::Time deadline) {
  std::optional<Waiting> waiting = Take(deadline);
  if (!waiting.has_value()) return std::nullopt;
  if (!waiting->error.ok()) return waiting->error;
  if (waiting->checkpoint != nullptr) {
    absl::StatusOr<std::string> bytes =
        SerializeRunState(*waiting->checkpoint, identity_);
    if (!bytes.ok()) return bytes.status();
    return CalibrationCheckpoint{*std::move(bytes), std::move(waiting->status)};
  }
  absl::StatusOr<std::string> file = ToBytes(waiting->result->file);
  if (!file.ok()) return file.status();
  CalibrationResult result;
  result.file = *std::move(file);
  result.quality = std::move(waiting->result->quality);
  result.held_out = std::move(waiting->result->held_out);
  result.status = std::move(waiting->status);
  return result;
}

std::unique_ptr<CalibrationRun> MakeCalibrationRun(
    std::shared_ptr<CalibrationChannel> channel) {
  return std::make_unique<ChannelRun>(std::move(channel));
}

}  // namespace seer
