#include "engine/llama_engine/engine_loop.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "base/logging.h"
#include "engine/errors.h"
#include "engine/event_stream/event_stream.h"

namespace seer {
namespace {

StepKind KindOf(const StepWork& work) {
  if (work.decode_rows == 0) return StepKind::kPrefill;
  return work.prompt_tokens == 0 ? StepKind::kDecode : StepKind::kMixed;
}

absl::Status OutOfMemoryError() {
  return WithRetryDelay(
      WithReason(absl::ResourceExhaustedError(
                     "the server has too little memory for this step"),
                 {"OUT_OF_MEMORY", std::nullopt, std::nullopt}),
      absl::Seconds(1));
}

}  // namespace

EngineLoop::EngineLoop(const Parts& parts)
    : parts_(parts),
      launcher_({parts.model, parts.cache, &runs_, parts.executor}) {
  MutexLock lock(&stats_mutex_);
  stats_.blocks_total.resize(parts.model->config().num_layers);
}

void EngineLoop::Run() {
  absl::Time look_at = absl::InfiniteFuture();
  while (true) {
    Inbox::Orders orders = parts_.inbox->Take(look_at);
    for (std::unique_ptr<RequestRun>& run : orders.added) Add(std::move(run));
    for (Inbox::Task& task : orders.tasks) task();
    const absl::Time begin = absl::Now();
    if (orders.stop) {
      FailAll(absl::UnavailableError("the engine has stopped"), true);
    } else if (!parts_.inbox->healthy()) {
      FailAll(absl::InternalError("the engine has failed"), false);
    } else if (begin >= orders.drain_deadline) {
      FailAll(absl::UnavailableError("the server is shutting down"), true);
    }
    Sweep(begin);
    if (orders.stop) break;
    const bool computed = RunStep(begin);
    const absl::Time background = RunBackground(computed);
    look_at =
        computed ? absl::InfinitePast()
        : runs_.empty()
            ? background
            : std::min({NextLook(begin), orders.drain_deadline, background});
    UpdateStats();
  }
  if (parts_.background != nullptr) {
    parts_.background->End(absl::UnavailableError("the engine has stopped"));
  }
  UpdateStats();
}

absl::Time EngineLoop::RunBackground(bool computed) {
  if (parts_.background == nullptr) return absl::InfiniteFuture();
  absl::Time look_at = absl::InfiniteFuture();
  if (parts_.inbox->healthy()) {
    const absl::Status status = parts_.background->RunRound(computed, &look_at);
    if (!status.ok()) FailEngine(status);
  }
  if (!parts_.inbox->healthy()) {
    parts_.background->End(absl::InternalError("the engine has failed"));
  }
  // What it takes, requests do not get.
  parts_.admission->RecordStep(0, parts_.background->TakeTimeBesideRequests());
  parts_.scheduler->SetShareBesideSteps(parts_.background->share());
  return look_at;
}

void EngineLoop::Add(std::unique_ptr<RequestRun> run) {
  const GenerationRequest& request = run->request();
  SequenceLengths lengths;
  lengths.prompt_len = static_cast<int64_t>(request.prompt.size());
  lengths.max_tokens = request.max_tokens;
  lengths.num_choices = request.num_choices;
  const SelectionPlan& selection = run->policy().plan;
  lengths.blocks_a_tile = selection.BlocksATile();
  lengths.dense_last_tiles = selection.effective.dense_last_blocks;
  lengths.scores_prompt = request.num_prompt_logprobs.has_value();
  lengths.is_background = request.priority == Priority::kBackground;
  const RequestId id = next_id_++;
  const absl::Status status = parts_.scheduler->Add(id, lengths);
  if (status.ok()) {
    runs_.emplace(id, std::move(run));
    return;
  }
  // Submit has checked this: a bug, but only this request's.
  run->LeaveQueue();
  endings_.push_back(
      {std::move(run),
       absl::InternalError("the request could not be scheduled")});
  PushEndings(false);
}

RequestRuns::iterator EngineLoop::Retire(RequestRuns::iterator it,
                                         absl::Status status,
                                         bool drop_earlier) {
  parts_.scheduler->Remove(it->first);
  it->second->LeaveQueue();
  endings_.push_back({std::move(it->second), std::move(status), drop_earlier});
  return runs_.erase(it);
}

void EngineLoop::PushEndings(bool cut) {
  if (endings_.empty()) return;
  UpdateStats();
  const int64_t ended = static_cast<int64_t>(endings_.size());
  for (Ending& ending : endings_) {
    if (ending.status.ok()) {
      ending.run->PushSummary();
    } else if (ending.drop_earlier) {
      ending.run->outbox().DropAndFail(std::move(ending.status));
    } else {
      ending.run->Fail(std::move(ending.status));
    }
  }
  endings_.clear();
  parts_.inbox->RecordEnded(ended, cut);
}

RequestRuns::iterator EngineLoop::SweepOne(RequestRuns::iterator it,
                                           absl::Time now) {
  RequestRun& run = *it->second;
  const std::optional<absl::Time> cancelled = run.outbox().cancelled_since();
  const absl::Time deadline = run.request().deadline;
  if (cancelled.has_value() || now >= deadline) {
    const auto next = Retire(
        it, cancelled.has_value() ? absl::CancelledError("the reader is gone")
                                  : absl::DeadlineExceededError(
                                        "the request's deadline has passed"));
    if (parts_.observer != nullptr) {
      parts_.observer->OnCancelled(std::max(
          absl::Now() - cancelled.value_or(deadline), absl::ZeroDuration()));
    }
    return next;
  }
  const absl::Duration stalled = run.outbox().StalledFor(now);
  if (stalled >= parts_.slow_reader_timeout) {
    return Retire(it, SlowReaderError(stalled), /*drop_earlier=*/true);
  }
  parts_.scheduler->SetHeld(it->first, run.outbox().full());
  return std::next(it);
}

void EngineLoop::Sweep(absl::Time now) {
  for (auto it = runs_.begin(); it != runs_.end();) it = SweepOne(it, now);
  PushEndings(false);
}

void EngineLoop::FailAll(const absl::Status& status, bool cut) {
  for (auto it = runs_.begin(); it != runs_.end();) it = Retire(it, status);
  PushEndings(cut);
}

absl::Time EngineLoop::NextLook(absl::Time now) const {
  // Readers are asked a few times within the patience there is with them.
  absl::Time next = now + parts_.slow_reader_timeout / 4;
  for (const auto& [id, run] : runs_) {
    next = std::min(next, run->request().deadline);
  }
  return next;
}

bool EngineLoop::RunStep(absl::Time begin) {
  bool computed = false;
  const StepPlan* plan = &parts_.scheduler->Plan();
  if (running_ != nullptr &&
      (plan->empty() || !launcher_.CanFollow(*plan, *running_))) {
    computed = true;
    FinishRunning();
    begin = absl::Now();
    plan = &parts_.scheduler->Plan();
  }
  std::unique_ptr<RunningStep> next;
  if (!plan->empty()) {
    computed = true;
    next = Launch(*plan, begin);
  }
  if (running_ != nullptr) FinishRunning();
  if (!parts_.inbox->healthy()) return computed;
  running_ = std::move(next);
  if (running_ != nullptr && !parts_.model->is_asynchronous()) FinishRunning();
  return computed;
}

absl::Status EngineLoop::LaunchOnce(const StepPlan& plan, absl::Time begin,
                                    std::unique_ptr<RunningStep>* step) {
  UpdateStats();  // a step that hangs must be seen to have work
  *step = std::make_unique<RunningStep>();
  (*step)->slices = plan.slices;
  (*step)->work = plan.work;
  (*step)->predicted_time = plan.predicted_time;
  (*step)->plan_time = begin;
  (*step)->launch_time = absl::Now();
  return launcher_.Launch(plan, running_.get(), **step);
}

std::unique_ptr<RunningStep> EngineLoop::Launch(const StepPlan& plan,
                                                absl::Time begin) {
  std::unique_ptr<RunningStep> step;
  absl::Status status = LaunchOnce(plan, begin, &step);
  // Serving comes first: what a calibration holds may be what is missing.
  if (absl::IsResourceExhausted(status) && parts_.background != nullptr &&
      parts_.background->EndRun(OutOfMemoryError())) {
    // The failed launch has used up where the running step's tokens are on the
    // device: the next takes them from the host.
    if (running_ != nullptr) FinishRunning();
    if (!parts_.inbox->healthy()) return nullptr;
    const StepPlan& again = parts_.scheduler->Plan();
    if (again.empty()) return nullptr;
    status = LaunchOnce(again, begin, &step);
  }
  parts_.scheduler->Commit();
  if (status.ok()) return step;
  if (running_ != nullptr) FinishRunning();
  if (parts_.inbox->healthy()) FailStep(*step, status);
  return nullptr;
}

void EngineLoop::FinishRunning() {
  const std::unique_ptr<RunningStep> step = std::move(running_);
  const absl::StatusOr<ForwardReport> forward = launcher_.Finish(*step);
  if (!forward.ok()) {
    FailStep(*step, forward.status());
    return;
  }
  StepReport report;
  report.kind = KindOf(step->work);
  report.prompt_tokens = step->work.prompt_tokens;
  report.decode_rows = step->work.decode_rows;
  report.prepare_time = forward->prepare_time;
  report.gate_time = forward->gate_time;
  report.attention_time = forward->attention_time;
  report.compute_time = forward->total_time;
  report.predicted_time = step->predicted_time;
  report.scheduler_time = step->launch_time - step->plan_time;
  parts_.scheduler->RecordStepTime(step->work, report.compute_time);
  if (parts_.background != nullptr) {
    parts_.background->RecordStep(report.compute_time);
  }
  parts_.admission->RecordStep(step->work.prompt_tokens, report.compute_time);
  CountStep(*step, forward->gate_time);
  Deliver(*step);
  const absl::Time now = absl::Now();
  report.duration = now - std::max(step->plan_time, last_finish_);
  last_finish_ = now;
  if (parts_.observer != nullptr) parts_.observer->OnStep(report);
}

void EngineLoop::FailEngine(const absl::Status& status) {
  Log(LogLevel::kError, "the device failed; the engine stops serving",
      {{"status", status.ToString()}});
  parts_.inbox->SetUnhealthy();
  FailAll(absl::InternalError("the engine has failed"), false);
}

void EngineLoop::FailStep(const RunningStep& step, const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) {
    FailEngine(status);
    return;
  }
  if (parts_.background != nullptr) {
    parts_.background->EndRun(OutOfMemoryError());
  }
  Log(LogLevel::kError, "a step found no memory; its requests end",
      {{"status", status.ToString()},
       {"prompt_tokens", step.work.prompt_tokens},
       {"decode_rows", step.work.decode_rows}});
  for (const PlannedSlice& slice : step.slices) {
    const auto found = runs_.find(slice.request);
    if (found != runs_.end()) Retire(found, OutOfMemoryError());
  }
  PushEndings(false);
}

void EngineLoop::CountStep(const RunningStep& step, absl::Duration gate_time) {
  MutexLock lock(&stats_mutex_);
  stats_.last_step_time = absl::Now();
  stats_.gate_time_total += gate_time;
  stats_.prompt_tokens_computed_total += step.work.prompt_tokens;
  for (const std::vector<RowOutcome>& rows : step.outcomes) {
    for (const RowOutcome& row : rows) {
      stats_.output_tokens_total += static_cast<int64_t>(row.drawn.size());
    }
  }
  for (const std::vector<LayerBlocks>& slice : step.blocks) {
    for (size_t layer = 0; layer < slice.size(); ++layer) {
      stats_.blocks_total[layer].visible += slice[layer].visible;
      stats_.blocks_total[layer].selected += slice[layer].selected;
    }
  }
}

void EngineLoop::Deliver(RunningStep& step) {
  const absl::Time now = absl::Now();
  for (size_t i = 0; i < step.slices.size(); ++i) {
    const PlannedSlice& slice = step.slices[i];
    const auto found = runs_.find(slice.request);
    // Ended by an earlier slice, or since the step was launched.
    if (found == runs_.end() || found->second->HasEnded(slice)) continue;
    RequestRun& run = *found->second;
    const absl::StatusOr<std::vector<int32_t>> ended =
        run.Apply(slice, std::move(step.outcomes[i]), step.blocks[i], now);
    if (!ended.ok()) {
      Retire(found, ended.status());
      continue;
    }
    for (const int32_t choice : *ended) {
      parts_.scheduler->FinishChoice(slice.request, choice);
    }
    if (run.done()) Retire(found, absl::OkStatus());
  }
  PushEndings(false);
}

void EngineLoop::UpdateStats() {
  MutexLock lock(&stats_mutex_);
  stats_.requests_running = parts_.scheduler->num_requests_running();
  stats_.pages_total = parts_.pages->num_pages();
  stats_.pages_used = parts_.pages->num_used();
}

EngineStats EngineLoop::Stats() const {
  MutexLock lock(&stats_mutex_);
  return stats_;
}

}  // namespace seer
