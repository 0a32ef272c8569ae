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
        // What the host waits for would keep the running step's tokens back.
        if (run.WantsDistribution(slice)) return false;
        if (!OnDevice(run)) {
          return !run.NeedsLastLogits(slice) && !run.NeedsAllLogits(slice);
        }
        if (slice.is_prompt()) return true;
        const auto next =
            running.next_tokens.find({slice.request, slice.choice});
        return next == running.next_tokens.end() ||
               (running.on_device[next->second.sequence] &&
                !run.PenalizesTokens());
      });
}

bool StepLauncher::OnDevice(const RequestRun& run) const {
  return parts_.model->DrawsTokens(run.num_top());
}

absl::Status StepLauncher::Launch(const StepPlan& plan,
                                  const RunningStep* running,
                                  RunningStep& step) {
  for (const PageCopy& copy : plan.copies) {
    SEER_RETURN_IF_ERROR(parts_.cache->CopyPage(copy.source, copy.target));
  }
  const absl::Time now = absl::Now();
  step.on_device.resize(plan.slices.size());
  step.blocks.resize(plan.slices.size());
  step.draws.resize(plan.slices.size());
  step.drawn.resize(plan.slices.size());
  step.drawn_scores.resize(plan.slices.size());
  step.scores.resize(plan.slices.size());
  step.outcomes.resize(plan.slices.size());
  for (size_t i = 0; i < plan.slices.size(); ++i) {
    parts_.runs->at(plan.slices[i].request)->Start(now);
    step.sequences.push_back(SequenceOf(i, running, step));
    NoteTokens(i, step);
  }
  AskForDraws(step);
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
  if (running != nullptr && !slice.is_prompt()) {
    const auto next = running->next_tokens.find({slice.request, slice.choice});
    if (next != running->next_tokens.end()) sequence.drawn_by = next->second;
  }
  const bool by_host = !OnDevice(run);
  step.on_device[index] = !by_host;
  if (!by_host) AskForScores(index, step, sequence);
  if (by_host && run.NeedsAllLogits(slice)) {
    sequence.logits = LogitsRows::kAll;
  } else if ((by_host && run.NeedsLastLogits(slice)) ||
             run.WantsDistribution(slice)) {
    sequence.logits = LogitsRows::kLast;
  }
  if (!slice.is_prompt()) return sequence;
  step.blocks[index].resize(parts_.model->config().num_layers);
  sequence.blocks = step.blocks[index].data();
  const ResolvedPolicy& policy = run.policy();
  sequence.plan = &policy.plan;
  if (policy.gate_set != nullptr) {
    sequence.gate = &policy.gate_set->state;
  }
  return sequence;
}

void StepLauncher::NoteTokens(size_t index, RunningStep& step) const {
  const PlannedSlice& slice = step.slices[index];
  const RequestRun& run = *parts_.runs->at(slice.request);
  if (!run.NeedsLastLogits(slice)) return;
  const int32_t num_tokens = slice.is_prompt() ? run.request().num_choices : 1;
  for (int32_t i = 0; i < num_tokens; ++i) {
    const int32_t choice = slice.is_prompt() ? i : slice.choice;
    step.next_tokens[{slice.request, choice}] = {static_cast<int32_t>(index),
                                                 i};
  }
}

void StepLauncher::AskForScores(size_t index, RunningStep& step,
                                BatchSequence& sequence) const {
  const PlannedSlice& slice = step.slices[index];
  const RequestRun& run = *parts_.runs->at(slice.request);
  sequence.num_top = run.num_top();
  sequence.scored = run.ScoredTokens(slice);
  step.scores[index].resize(sequence.scored.size());
  sequence.scores = step.scores[index].data();
}

void StepLauncher::AskForDraws(RunningStep& step) const {
  const auto ask = [&](size_t index) {
    const RequestRun& run = *parts_.runs->at(step.slices[index].request);
    if (!OnDevice(run)) return;
    BatchSequence& sequence = step.sequences[index];
    step.draws[index] =
        run.DrawsOf(step.slices[index], sequence.drawn_by.has_value() ? 1 : 0);
    const size_t num_draws = step.draws[index].size();
    step.drawn[index].resize(num_draws);
    sequence.draws = step.draws[index];
    sequence.drawn = step.drawn[index].data();
    if (!run.request().num_logprobs.has_value()) return;
    step.drawn_scores[index].resize(num_draws);
    sequence.drawn_scores = step.drawn_scores[index].data();
  };
  const size_t num_slices = step.slices.size();
  // Penalties go through all tokens of a text so far.
  const bool is_long = std::any_of(
      step.slices.begin(), step.slices.end(), [&](const PlannedSlice& slice) {
        return parts_.runs->at(slice.request)->PenalizesTokens();
      });
  const size_t num_workers =
      is_long ? std::min(num_slices, samplers_.size()) : 1;
  if (num_workers == 1) {
    for (size_t i = 0; i < num_slices; ++i) ask(i);
    return;
  }
  parts_.executor->ParallelFor(
      static_cast<int64_t>(num_workers), [&](int64_t worker) {
        for (size_t i = worker; i < num_slices; i += num_workers) ask(i);
      });
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
      const int32_t sequence = block.rows[i].sequence;
      const PlannedSlice& slice = step.slices[sequence];
      const absl::Span<const float> logits(block.logits + i * vocab_size,
                                           static_cast<size_t>(vocab_size));
      results[i] = step.on_device[sequence]
                       ? RequestRun::TakeDistribution(logits)
                       : parts_.runs->at(slice.request)
                             ->Evaluate(slice, block.rows[i].position, logits,
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
    } else if (step.on_device[i]) {
      const RequestRun& from = *run->second;
      for (size_t row = 0; row < step.scores[i].size(); ++row) {
        step.outcomes[i].push_back(
            from.TakeScore(step.sequences[i].scored[row], step.scores[i][row]));
      }
      if (step.drawn[i].empty()) continue;
      step.outcomes[i].push_back(
          from.TakeDrawn(slice, step.drawn[i], step.drawn_scores[i]));
    }
  }
  return report;
}

}  // namespace seer
