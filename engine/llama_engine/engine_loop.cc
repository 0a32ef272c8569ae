#include "engine/llama_engine/engine_loop.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "engine/event_stream/event_stream.h"

namespace seer {
namespace {

StepKind KindOf(const StepPlan& plan) {
  if (plan.work.decode_rows == 0) return StepKind::kPrefill;
  return plan.work.prompt_tokens == 0 ? StepKind::kDecode : StepKind::kMixed;
}

absl::Status OutOfMemoryError() {
  return WithRetryDelay(
      WithReason(absl::ResourceExhaustedError(
                     "the server has too little memory for this step"),
                 {"OUT_OF_MEMORY", std::nullopt, std::nullopt}),
      absl::Seconds(1));
}

}  // namespace

EngineLoop::EngineLoop(const Parts& parts) : parts_(parts) {
  for (int i = 0; i < parts.executor->num_threads(); ++i) {
    samplers_.emplace_back(parts.model->config().vocab_size);
  }
  MutexLock lock(&stats_mutex_);
  stats_.blocks_total.resize(parts.model->config().num_layers);
}

void EngineLoop::Run() {
  absl::Time look_at = absl::InfiniteFuture();
  while (true) {
    Inbox::Orders orders = parts_.inbox->Take(look_at);
    for (std::unique_ptr<RequestRun>& run : orders.added) Add(std::move(run));
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
    const StepPlan& plan = parts_.scheduler->Plan();
    if (plan.empty()) {
      look_at = std::min(NextLook(begin), orders.drain_deadline);
      if (runs_.empty()) look_at = absl::InfiniteFuture();
    } else {
      look_at = absl::InfinitePast();
      UpdateStats();  // a step that hangs must be seen to have work
      RunStep(plan, absl::Now() - begin);
    }
    UpdateStats();
  }
  UpdateStats();
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

EngineLoop::Runs::iterator EngineLoop::Retire(Runs::iterator it,
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

EngineLoop::Runs::iterator EngineLoop::SweepOne(Runs::iterator it,
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

void EngineLoop::RunStep(const StepPlan& plan, absl::Duration scheduler_time) {
  const absl::Time begin = absl::Now();
  StepOutcomes outcomes(plan.slices.size());
  const absl::StatusOr<ForwardReport> forward = Compute(plan, outcomes);
  if (!forward.ok()) {
    FailStep(plan, forward.status());
    return;
  }
  const absl::Duration compute_time = absl::Now() - begin;
  parts_.scheduler->RecordStepTime(compute_time);
  parts_.scheduler->Commit();
  parts_.admission->RecordStep(plan.work.prompt_tokens, compute_time);
  StepReport report;
  report.kind = KindOf(plan);
  report.prompt_tokens = plan.work.prompt_tokens;
  report.decode_rows = plan.work.decode_rows;
  report.prepare_time = forward->prepare_time;
  report.gate_time = forward->gate_time;
  report.attention_time = forward->attention_time;
  report.compute_time = compute_time;
  report.predicted_time = plan.predicted_time;
  report.scheduler_time = scheduler_time;
  CountStep(plan, outcomes, forward->gate_time);
  Deliver(plan, std::move(outcomes));
  report.duration = absl::Now() - begin + scheduler_time;
  if (parts_.observer != nullptr) parts_.observer->OnStep(report);
}

void EngineLoop::FailStep(const StepPlan& plan, const absl::Status& status) {
  parts_.scheduler->Commit();
  if (!absl::IsResourceExhausted(status)) {
    Log(LogLevel::kError, "a step failed; the engine stops serving",
        {{"status", status.ToString()}});
    parts_.inbox->SetUnhealthy();
    FailAll(absl::InternalError("the engine has failed"), false);
    return;
  }
  Log(LogLevel::kError, "a step found no memory; its requests end",
      {{"status", status.ToString()},
       {"prompt_tokens", plan.work.prompt_tokens},
       {"decode_rows", plan.work.decode_rows}});
  for (const PlannedSlice& slice : plan.slices) {
    const auto found = runs_.find(slice.request);
    if (found != runs_.end()) Retire(found, OutOfMemoryError());
  }
  PushEndings(false);
}

absl::StatusOr<ForwardReport> EngineLoop::Compute(const StepPlan& plan,
                                                  StepOutcomes& outcomes) {
  for (const PageCopy& copy : plan.copies) {
    SEER_RETURN_IF_ERROR(parts_.cache->CopyPage(copy.source, copy.target));
  }
  const absl::Time now = absl::Now();
  blocks_.assign(plan.slices.size(), {});
  best_tokens_.assign(plan.slices.size(), 0);
  std::vector<BatchSequence> sequences;
  for (size_t i = 0; i < plan.slices.size(); ++i) {
    runs_.at(plan.slices[i].request)->Start(now);
    sequences.push_back(SequenceOf(plan.slices[i], i));
  }
  const auto on_logits = [&](const LogitsBlock& block) {
    return EvaluateRows(plan, block, outcomes);
  };
  SEER_ASSIGN_OR_RETURN(
      const ForwardReport report,
      parts_.model->Forward({sequences, parts_.cache, on_logits, nullptr}));
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i].best_token == nullptr) continue;
    const PlannedSlice& slice = plan.slices[i];
    outcomes[i].push_back(
        runs_.at(slice.request)->TakeBest(slice, best_tokens_[i]));
  }
  return report;
}

BatchSequence EngineLoop::SequenceOf(const PlannedSlice& slice, size_t index) {
  const RequestRun& run = *runs_.at(slice.request);
  BatchSequence sequence;
  sequence.tokens = run.TokensOf(slice);
  sequence.position_begin = slice.position_begin;
  sequence.prompt_len = slice.prompt_len;
  sequence.page_table = slice.page_table;
  if (parts_.model->copies_logits() && run.NeedsBestToken(slice)) {
    sequence.best_token = &best_tokens_[index];
  } else {
    sequence.logits = run.NeedsAllLogits(slice)    ? LogitsRows::kAll
                      : run.NeedsLastLogits(slice) ? LogitsRows::kLast
                                                   : LogitsRows::kNone;
  }
  if (!slice.is_prompt()) return sequence;
  blocks_[index].resize(parts_.model->config().num_layers);
  sequence.blocks = blocks_[index].data();
  const ResolvedPolicy& policy = run.policy();
  if (policy.gate_set != nullptr) {
    sequence.plan = &policy.plan;
    sequence.gate = &parts_.gates->at(policy.gate_set->gate.get());
  }
  return sequence;
}

absl::Status EngineLoop::EvaluateRows(const StepPlan& plan,
                                      const LogitsBlock& block,
                                      StepOutcomes& outcomes) {
  const int64_t vocab_size = parts_.model->config().vocab_size;
  const int64_t num_rows = static_cast<int64_t>(block.rows.size());
  const int64_t num_workers =
      std::min<int64_t>(num_rows, static_cast<int64_t>(samplers_.size()));
  std::vector<RowOutcome> results(num_rows);
  parts_.executor->ParallelFor(num_workers, [&](int64_t worker) {
    for (int64_t i = worker; i < num_rows; i += num_workers) {
      const PlannedSlice& slice = plan.slices[block.rows[i].sequence];
      results[i] = runs_.at(slice.request)
                       ->Evaluate(slice, block.rows[i].position,
                                  {block.logits + i * vocab_size,
                                   static_cast<size_t>(vocab_size)},
                                  samplers_[worker]);
    }
  });
  for (int64_t i = 0; i < num_rows; ++i) {
    outcomes[block.rows[i].sequence].push_back(std::move(results[i]));
  }
  return absl::OkStatus();
}

void EngineLoop::CountStep(const StepPlan& plan, const StepOutcomes& outcomes,
                           absl::Duration gate_time) {
  MutexLock lock(&stats_mutex_);
  stats_.last_step_time = absl::Now();
  stats_.gate_time_total += gate_time;
  stats_.prompt_tokens_computed_total += plan.work.prompt_tokens;
  for (const std::vector<RowOutcome>& rows : outcomes) {
    for (const RowOutcome& row : rows) {
      stats_.output_tokens_total += static_cast<int64_t>(row.drawn.size());
    }
  }
  for (const std::vector<LayerBlocks>& slice : blocks_) {
    for (size_t layer = 0; layer < slice.size(); ++layer) {
      stats_.blocks_total[layer].visible += slice[layer].visible;
      stats_.blocks_total[layer].selected += slice[layer].selected;
    }
  }
}

void EngineLoop::Deliver(const StepPlan& plan, StepOutcomes outcomes) {
  const absl::Time now = absl::Now();
  for (size_t i = 0; i < plan.slices.size(); ++i) {
    const PlannedSlice& slice = plan.slices[i];
    const auto found = runs_.find(slice.request);
    if (found == runs_.end()) continue;  // ended by an earlier slice
    RequestRun& run = *found->second;
    const absl::StatusOr<std::vector<int32_t>> ended =
        run.Apply(slice, std::move(outcomes[i]), blocks_[i], now);
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
