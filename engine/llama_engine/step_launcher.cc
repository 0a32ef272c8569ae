#include "engine/llama_engine/step_launcher.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace seer {

StepLauncher::StepLauncher(const Parts& parts) : parts_(parts) {
  for (int i = 0; i < parts.executor->num_threads(); ++i) {
    samplers_.emplace_back(parts.model->config().vocab_size);
  }
}

bool StepLauncher::CanFollow(const StepPlan& plan,
                             const RunningStep& running) const {
  if (!parts_.model->is_asynchronous()) return false;
  return std::all_of(
      plan.slices.begin(), plan.slices.end(), [&](const PlannedSlice& slice) {
        const RequestRun& run = *parts_.runs->at(slice.request);
        // What is banned or penalised may follow from the token to come.
        if (run.NeedsAllLogits(slice) ||
            (run.NeedsLastLogits(slice) && !run.NeedsBestToken(slice))) {
          return false;
        }
        if (slice.is_prompt()) return true;
        const auto drawn = running.draws.find({slice.request, slice.choice});
        return drawn == running.draws.end() ||
               running.DrawsOnDevice(drawn->second);
      });
}

absl::Status StepLauncher::Launch(const StepPlan& plan,
                                  const RunningStep* running,
                                  RunningStep& step) {
  for (const PageCopy& copy : plan.copies) {
    SEER_RETURN_IF_ERROR(parts_.cache->CopyPage(copy.source, copy.target));
  }
  const absl::Time now = absl::Now();
  step.blocks.resize(plan.slices.size());
  step.best_tokens.resize(plan.slices.size());
  step.outcomes.resize(plan.slices.size());
  for (size_t i = 0; i < plan.slices.size(); ++i) {
    parts_.runs->at(plan.slices[i].request)->Start(now);
    step.sequences.push_back(SequenceOf(i, running, step));
  }
  const auto on_logits = [&](const LogitsBlock& block) {
    return EvaluateRows(block, step);
  };
  SEER_ASSIGN_OR_RETURN(
      LaunchedStep launched,
      parts_.model->Launch({step.sequences, parts_.cache, on_logits, nullptr}));
  step.launched.emplace(std::move(launched));
  return absl::OkStatus();
}

BatchSequence StepLauncher::SequenceOf(size_t index, const RunningStep* running,
                                       RunningStep& step) const {
  const PlannedSlice& slice = step.slices[index];
  const RequestRun& run = *parts_.runs->at(slice.request);
  BatchSequence sequence;
  sequence.tokens = run.TokensOf(slice);
  sequence.position_begin = slice.position_begin;
  sequence.prompt_len = slice.prompt_len;
  sequence.page_table = slice.page_table;
  if (parts_.model->is_asynchronous() && run.NeedsBestToken(slice)) {
    sequence.best_token = &step.best_tokens[index];
  } else {
    sequence.logits = run.NeedsAllLogits(slice)    ? LogitsRows::kAll
                      : run.NeedsLastLogits(slice) ? LogitsRows::kLast
                                                   : LogitsRows::kNone;
  }
  if (run.NeedsLastLogits(slice)) {
    const bool is_prompt = slice.is_prompt();
    const int32_t first = is_prompt ? 0 : slice.choice;
    const int32_t end = is_prompt ? run.request().num_choices : first + 1;
    for (int32_t choice = first; choice < end; ++choice) {
      step.draws[{slice.request, choice}] = static_cast<int32_t>(index);
    }
  }
  if (!slice.is_prompt()) {
    if (running == nullptr) return sequence;
    const auto drawn = running->draws.find({slice.request, slice.choice});
    if (drawn != running->draws.end()) sequence.drawn_by = drawn->second;
    return sequence;
  }
  step.blocks[index].resize(parts_.model->config().num_layers);
  sequence.blocks = step.blocks[index].data();
  const ResolvedPolicy& policy = run.policy();
  if (policy.gate_set != nullptr) {
    sequence.plan = &policy.plan;
    sequence.gate = &parts_.gates->at(policy.gate_set->gate.get());
  }
  return sequence;
}

absl::Status StepLauncher::EvaluateRows(const LogitsBlock& block,
                                        RunningStep& step) {
  const int64_t vocab_size = parts_.model->config().vocab_size;
  const int64_t num_rows = static_cast<int64_t>(block.rows.size());
  const int64_t num_workers =
      std::min<int64_t>(num_rows, static_cast<int64_t>(samplers_.size()));
  std::vector<RowOutcome> results(num_rows);
  parts_.executor->ParallelFor(num_workers, [&](int64_t worker) {
    for (int64_t i = worker; i < num_rows; i += num_workers) {
      const PlannedSlice& slice = step.slices[block.rows[i].sequence];
      results[i] = parts_.runs->at(slice.request)
                       ->Evaluate(slice, block.rows[i].position,
                                  {block.logits + i * vocab_size,
                                   static_cast<size_t>(vocab_size)},
                                  samplers_[worker]);
    }
  });
  for (int64_t i = 0; i < num_rows; ++i) {
    step.outcomes[block.rows[i].sequence].push_back(std::move(results[i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<ForwardReport> StepLauncher::Finish(RunningStep& step) const {
  SEER_ASSIGN_OR_RETURN(const ForwardReport report, step.launched->Finish());
  for (size_t i = 0; i < step.slices.size(); ++i) {
    const PlannedSlice& slice = step.slices[i];
    const auto run = parts_.runs->find(slice.request);
    if (run == parts_.runs->end() || run->second->HasEnded(slice)) {
      step.outcomes[i].clear();
    } else if (step.DrawsOnDevice(i)) {
      step.outcomes[i].push_back(
          run->second->TakeBest(slice, step.best_tokens[i]));
    }
  }
  return report;
}

}  // namespace seer
