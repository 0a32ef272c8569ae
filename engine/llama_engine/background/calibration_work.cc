#include "engine/llama_engine/background/calibration_work.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "engine/llama_engine/gates/gate_shape.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// How soon it is looked again whether there is memory, when nothing else
// happens.
constexpr absl::Duration kMemoryWait = absl::Milliseconds(20);

absl::Status OutOfMemory(absl::string_view message) {
  return WithReason(absl::ResourceExhaustedError(message),
                    {"OUT_OF_MEMORY", std::nullopt, std::nullopt});
}

// So many tiles of the whole depth take the memory of the largest span.
int64_t TilesOfWholeDepth(const SpanLimits& limits, int64_t num_blocks) {
  int64_t most = 1;
  for (const TileSpan& span : CutIntoSpans(num_blocks, 0, limits)) {
    most =
        std::max(most, (span.size() * span.last + num_blocks - 1) / num_blocks);
  }
  return most;
}

}  // namespace

CalibrationWork::CalibrationWork(const Parts& parts)
    : parts_(parts), source_(parts.source), timer_(parts.device) {}

CalibrationWork::~CalibrationWork() = default;

absl::Status CalibrationWork::Offer(CalibrationOrder order) {
  MutexLock lock(&mutex_);
  SEER_RETURN_IF_ERROR(ended_);
  if (newest_ != nullptr && !newest_->is_over()) {
    return WithReason(
        absl::FailedPreconditionError("another calibration is under way"),
        {"BUSY", std::nullopt, std::nullopt});
  }
  newest_ = order.channel;
  offered_ = std::move(order);
  return absl::OkStatus();
}

void CalibrationWork::RecordStep(absl::Duration duration) {
  if (run_ != nullptr) run_->share.RecordServing(duration);
}

absl::Status CalibrationWork::TakeOrders() {
  if (run_ != nullptr && run_->channel->is_abandoned()) run_.reset();
  if (run_ != nullptr) return absl::OkStatus();
  SEER_RETURN_IF_ERROR(Book(timer_.Collect()));
  std::optional<CalibrationOrder> order;
  {
    MutexLock lock(&mutex_);
    order = std::exchange(offered_, std::nullopt);
  }
  if (!order.has_value() || order->channel->is_abandoned()) {
    return absl::OkStatus();
  }
  const std::shared_ptr<CalibrationChannel> channel = order->channel;
  const absl::Status begun = Begin(*std::move(order));
  if (!begun.ok()) channel->PushError(begun);
  return absl::OkStatus();
}

absl::Status CalibrationWork::CheckMemory(
    const DistillationSetup& setup) const {
  const absl::StatusOr<int64_t> free = parts_.device->FreeBytes();
  if (absl::IsUnimplemented(free.status())) return absl::OkStatus();
  SEER_RETURN_IF_ERROR(free.status());
  const int64_t len = setup.options.sequence_len;
  const int64_t needed =
      DistillationBytes(setup) +
      parts_.source.model->LayerPassBytes(
          len, TilesOfWholeDepth(setup.limits, NumBlocks(len)));
  if (needed <= *free - parts_.step_bytes) return absl::OkStatus();
  return OutOfMemory(absl::StrCat(
      "a calibration of sequences of ", len, " tokens takes ", needed,
      " bytes of the device's memory; ", *free, " are free, ",
      parts_.step_bytes, " of them for steps: lower kv_memory_fraction"));
}

absl::Status CalibrationWork::Begin(CalibrationOrder order) {
  const LlamaModel& model = *parts_.source.model;
  DistillationSetup setup;
  setup.options = std::move(order.options);
  setup.sequences = std::move(order.sequences);
  setup.shape = GateShapeOf(model);
  setup.rope = model.rope();
  setup.fingerprint = parts_.fingerprint;
  setup.vocab_size = model.config().vocab_size;
  setup.device = parts_.device;
  setup.source = &source_;
  setup.limits = SpanLimitsFor(model);
  setup.resumed = std::move(order.resumed);
  SEER_RETURN_IF_ERROR(CheckMemory(setup));
  SEER_RETURN_IF_ERROR(parts_.device->BindThisThread());
  timer_.Forget();
  const double share = setup.options.device_share;
  run_.reset(new Run{std::move(order.channel),
                     std::make_unique<DistillationRun>(std::move(setup)),
                     BackgroundShare(share, parts_.round_time),
                     CalibrationPace()});
  Log(LogLevel::kInfo, "a calibration begins",
      {{"design", run_->distillation->options().design},
       {"step", run_->distillation->status().step},
       {"steps", run_->distillation->options().steps}});
  return absl::OkStatus();
}

absl::Status CalibrationWork::RunRound(bool has_computed, absl::Time* look_at) {
  *look_at = absl::InfiniteFuture();
  SEER_RETURN_IF_ERROR(TakeOrders());
  if (run_ == nullptr) return absl::OkStatus();
  if (run_->channel->TakeCheckpointRequest()) {
    run_->distillation->RequestCheckpoint();
  }
  if (IsWaitedFor()) {
    run_->distillation->GiveMemoryBack();
    *look_at = absl::InfinitePast();
    return absl::OkStatus();
  }
  return has_computed ? RunBesideRequests() : RunAlone(look_at);
}

bool CalibrationWork::IsWaitedFor() const {
  const DistillationRun& distillation = *run_->distillation;
  if (!distillation.holds_memory()) return false;
  const int64_t num_missing = parts_.source.scheduler->PagesMissing();
  return num_missing > 0 &&
         num_missing <= PagedLayerSource::PagesNeeded(
                            distillation.options().sequence_len,
                            parts_.source.model->config().num_layers);
}

absl::Status CalibrationWork::RunAlone(absl::Time* look_at) {
  SEER_RETURN_IF_ERROR(RunMicroStep(absl::ZeroDuration(), false));
  // One is enqueued while the one before runs.
  SEER_RETURN_IF_ERROR(Book(timer_.CollectEarlier()));
  *look_at = absl::InfinitePast();
  if (run_ == nullptr) return absl::OkStatus();
  run_->share.RecordIdle();
  if (run_->waits_for_memory) *look_at = absl::Now() + kMemoryWait;
  return absl::OkStatus();
}

absl::Status CalibrationWork::RunBesideRequests() {
  SEER_RETURN_IF_ERROR(Book(timer_.Collect()));
  if (run_ != nullptr) run_->share.BeginRound();
  for (bool is_first = true; run_ != nullptr && !run_->channel->is_abandoned();
       is_first = false) {
    const MicroStepKind kind = run_->distillation->next_kind();
    const absl::Duration expected = timer_.Expected(kind);
    // One of a kind whose time is not known yet has a round to itself.
    const bool is_known = expected > absl::ZeroDuration();
    if (!is_first && !is_known) break;
    if (!run_->share.Take(expected)) {
      timer_.Doubt(kind);
      break;
    }
    SEER_RETURN_IF_ERROR(RunMicroStep(expected, true));
    // What the host itself does is done.
    if (parts_.device->shares_host_memory()) {
      SEER_RETURN_IF_ERROR(Book(timer_.Collect()));
    }
    if (run_ != nullptr && run_->waits_for_memory) break;
    if (!is_known) break;
  }
  return absl::OkStatus();
}

absl::Status CalibrationWork::RunMicroStep(absl::Duration expected,
                                           bool beside_requests) {
  DistillationRun& distillation = *run_->distillation;
  const int64_t left = distillation.num_token_layers_left();
  timer_.Begin();
  const absl::StatusOr<MicroStepKind> kind = distillation.NextMicroStep();
  if (!kind.ok()) {
    EndRun(kind.status());
    // A fault of the device shows again where it is asked.
    return absl::IsInternal(kind.status()) ? parts_.device->Synchronize()
                                           : absl::OkStatus();
  }
  run_->waits_for_memory = *kind == MicroStepKind::kWait;
  if (run_->waits_for_memory) {
    run_->share.Correct(expected, absl::ZeroDuration());
    return absl::OkStatus();
  }
  timer_.End({*kind, expected, beside_requests, absl::ZeroDuration()});
  run_->work_done +=
      std::max<int64_t>(0, left - distillation.num_token_layers_left());
  ReportStatus();
  if (std::unique_ptr<RunState> state = distillation.TakeCheckpoint()) {
    run_->channel->PushCheckpoint(std::move(state));
  }
  if (distillation.is_done()) {
    const std::shared_ptr<CalibrationChannel> channel = run_->channel;
    DistillationResult result = distillation.TakeResult();
    run_.reset();
    channel->PushResult(std::move(result));
    Log(LogLevel::kInfo, "a calibration is done", {});
  }
  return absl::OkStatus();
}

absl::Status CalibrationWork::Book(
    const absl::StatusOr<std::vector<MicroStepTimer::Timed>>& timed) {
  SEER_RETURN_IF_ERROR(timed.status());
  for (const MicroStepTimer::Timed& step : *timed) {
    // Alone it cost nobody anything.
    if (step.beside_requests) time_beside_ += step.actual;
    if (run_ != nullptr && step.beside_requests) {
      run_->share.Correct(step.expected, step.actual);
    }
    if (parts_.observer != nullptr) {
      parts_.observer->OnMicroStep(step.actual, step.beside_requests);
    }
  }
  return absl::OkStatus();
}

void CalibrationWork::ReportStatus() {
  const DistillationRun& distillation = *run_->distillation;
  run_->pace.Record(absl::Now(), run_->work_done);
  const double pace = run_->pace.PerSecond();
  CalibrationStatus status = distillation.status();
  status.tokens_per_second = pace / parts_.source.model->config().num_layers;
  if (pace > 0.0) {
    status.time_left = absl::Seconds(
        static_cast<double>(distillation.num_token_layers_left()) / pace);
  }
  run_->channel->SetStatus(std::move(status));
}

bool CalibrationWork::EndRun(const absl::Status& status) {
  if (run_ == nullptr) return false;
  Log(LogLevel::kWarning, "a calibration ends early",
      {{"status", status.ToString()}});
  const std::shared_ptr<CalibrationChannel> channel = run_->channel;
  run_.reset();
  channel->PushError(status);
  return true;
}

void CalibrationWork::End(const absl::Status& status) {
  std::optional<CalibrationOrder> offered;
  {
    MutexLock lock(&mutex_);
    if (!ended_.ok()) return;
    ended_ = status;
    offered = std::exchange(offered_, std::nullopt);
  }
  if (offered.has_value()) offered->channel->PushError(status);
  EndRun(status);
}

}  // namespace seer
