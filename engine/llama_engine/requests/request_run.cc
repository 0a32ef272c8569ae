#include "engine/llama_engine/requests/request_run.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/sampler/logprobs.h"
#include "engine/sampler/uniform_draw.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

absl::Status NotFiniteError() {
  return absl::InternalError(
      "the model gave a logit that is not finite, or no token may be drawn");
}

}  // namespace

RequestRun::RequestRun(Init init, EventOutbox outbox)
    : init_(std::move(init)), outbox_(std::move(outbox)) {
  const GenerationRequest& request = init_.request;
  if (!request.ignore_eos) {
    conditions_.end_ids.insert(init_.end_ids.begin(), init_.end_ids.end());
  }
  conditions_.stop_ids.insert(request.stop_ids.begin(), request.stop_ids.end());
  conditions_.stop_strings = init_.stop_strings;
  conditions_.min_tokens = request.min_tokens;
  conditions_.max_tokens = request.max_tokens;
  banned_early_.assign(conditions_.end_ids.begin(), conditions_.end_ids.end());
  banned_early_.insert(banned_early_.end(), request.stop_ids.begin(),
                       request.stop_ids.end());
  const TokenHistory history(request.sampling, request.prompt);
  for (int32_t i = 0; i < request.num_choices; ++i) {
    choices_.emplace_back(i, init_.tokenizer, &conditions_, history);
  }
  report_.requested = init_.policy.requested;
  report_.effective = init_.policy.plan.effective;
  report_.closest_feasible = init_.policy.plan.closest_feasible;
  report_.layers.resize(init_.num_layers);
}

absl::Span<const TokenId> RequestRun::TokensOf(
    const PlannedSlice& slice) const {
  if (slice.is_prompt()) {
    return absl::MakeConstSpan(init_.request.prompt)
        .subspan(slice.position_begin, slice.num_tokens);
  }
  return absl::MakeConstSpan(&choices_[slice.choice].last_token(), 1);
}

bool RequestRun::NeedsAllLogits(const PlannedSlice& slice) const {
  return slice.is_prompt() && init_.request.num_prompt_logprobs.has_value();
}

bool RequestRun::NeedsLastLogits(const PlannedSlice& slice) const {
  return !slice.is_prompt() ||
         (slice.ends_prompt() && init_.request.max_tokens > 0);
}

bool RequestRun::WantsDistribution(const PlannedSlice& slice) const {
  return slice.is_prompt() && slice.ends_prompt() &&
         init_.request.wants_first_distribution;
}

int32_t RequestRun::num_top() const {
  return std::max(init_.request.num_logprobs.value_or(0),
                  init_.request.num_prompt_logprobs.value_or(0));
}

bool RequestRun::PenalizesTokens() const {
  return Penalizes(init_.request.sampling);
}

absl::Span<const TokenId> RequestRun::Banned(int32_t num_tokens) const {
  if (num_tokens >= init_.request.min_tokens) return {};
  return banned_early_;
}

std::vector<TokenAdjustment> RequestRun::AdjustmentsOf(
    int32_t choice, int32_t num_unseen) const {
  const auto& biases = init_.request.sampling.logit_bias;
  const auto& counts = choices_[choice].history().counts();
  const absl::Span<const TokenId> banned =
      Banned(choices_[choice].num_tokens() + num_unseen);
  std::vector<TokenAdjustment> adjustments;
  adjustments.reserve(biases.size() + counts.size() + banned.size());
  for (const auto& [token, count] : counts) {
    adjustments.push_back({token, 0.0f, count, 0});
  }
  if (biases.empty() && banned.empty()) return adjustments;
  absl::flat_hash_map<TokenId, size_t> places;
  places.reserve(adjustments.capacity());
  for (size_t i = 0; i < adjustments.size(); ++i) {
    places.emplace(adjustments[i].token, i);
  }
  const auto of = [&](TokenId token) -> TokenAdjustment& {
    const auto [place, is_new] = places.emplace(token, adjustments.size());
    if (is_new) {
      adjustments.emplace_back();
      adjustments.back().token = token;
    }
    return adjustments[place->second];
  };
  for (const auto& [token, bias] : biases) of(token).bias += bias;
  for (const TokenId token : banned) of(token).banned = 1;
  return adjustments;
}

std::vector<RowDraw> RequestRun::DrawsOf(const PlannedSlice& slice,
                                         int32_t num_unseen) const {
  std::vector<RowDraw> draws;
  if (!NeedsLastLogits(slice)) return draws;
  const SamplingOptions& options = init_.request.sampling;
  const bool is_prompt = slice.is_prompt();
  const int32_t first = is_prompt ? 0 : slice.choice;
  const int32_t end = is_prompt ? init_.request.num_choices : first + 1;
  for (int32_t choice = first; choice < end; ++choice) {
    RowDraw row;
    row.draw.temperature = options.temperature;
    row.draw.top_k = options.top_k;
    row.draw.top_p = options.top_p;
    row.draw.min_p = options.min_p;
    row.draw.repetition_penalty = options.repetition_penalty;
    row.draw.presence_penalty = options.presence_penalty;
    row.draw.frequency_penalty = options.frequency_penalty;
    row.draw.uniform = UniformDraw(
        {*options.seed, choice, slice.position_begin + slice.num_tokens});
    row.adjustments = AdjustmentsOf(choice, num_unseen);
    draws.push_back(std::move(row));
  }
  return draws;
}

absl::Span<const TokenId> RequestRun::ScoredTokens(
    const PlannedSlice& slice) const {
  if (!NeedsAllLogits(slice)) return {};
  return absl::MakeConstSpan(init_.request.prompt)
      .subspan(slice.position_begin + 1, slice.num_tokens);
}

void RequestRun::AddTexts(LogprobEntry& entry) const {
  const auto add = [&](TokenLogprob& token) {
    token.text = std::string(init_.tokenizer->TokenBytes(token.id));
  };
  add(entry.token);
  for (TokenLogprob& token : entry.top) add(token);
}

absl::Status RequestRun::Draw(int32_t choice, int64_t position,
                              absl::Span<const float> logits, Sampler& sampler,
                              RowOutcome& outcome) const {
  const GenerationRequest& request = init_.request;
  const ChoiceOutput& output = choices_[choice];
  SampleArgs args;
  args.logits = logits;
  args.options = &request.sampling;
  args.history = &output.history();
  args.banned = Banned(output.num_tokens());
  args.key = {*request.sampling.seed, choice, position};
  DrawnToken drawn;
  drawn.choice = choice;
  SEER_ASSIGN_OR_RETURN(drawn.token, sampler.Sample(args));
  if (request.num_logprobs.has_value()) {
    SEER_ASSIGN_OR_RETURN(
        drawn.logprob, ScoreToken(logits, drawn.token, *request.num_logprobs));
    AddTexts(*drawn.logprob);
  }
  outcome.drawn.push_back(std::move(drawn));
  return absl::OkStatus();
}

RowOutcome RequestRun::Evaluate(const PlannedSlice& slice, int32_t position,
                                absl::Span<const float> logits,
                                Sampler& sampler) const {
  const GenerationRequest& request = init_.request;
  RowOutcome outcome;
  if (!slice.is_prompt()) {
    outcome.status = Draw(slice.choice, position + 1, logits, sampler, outcome);
    return outcome;
  }
  if (position + 1 < slice.prompt_len) {
    absl::StatusOr<LogprobEntry> entry = ScoreToken(
        logits, request.prompt[position + 1], *request.num_prompt_logprobs);
    outcome.status = entry.status();
    if (entry.ok()) {
      AddTexts(*entry);
      outcome.prompt_entry = *std::move(entry);
    }
    return outcome;
  }
  if (WantsDistribution(slice)) outcome = TakeDistribution(logits);
  if (request.max_tokens == 0) return outcome;
  for (int32_t i = 0; i < request.num_choices && outcome.status.ok(); ++i) {
    outcome.status = Draw(i, position + 1, logits, sampler, outcome);
  }
  return outcome;
}

RowOutcome RequestRun::TakeDistribution(absl::Span<const float> logits) {
  RowOutcome outcome;
  // A request does not fail for what only the server wants to know of it.
  absl::StatusOr<std::vector<float>> logprobs = LogDistribution(logits);
  if (logprobs.ok()) outcome.first_distribution = *std::move(logprobs);
  return outcome;
}

absl::StatusOr<LogprobEntry> RequestRun::EntryOf(TokenId token,
                                                 const RowScore& score,
                                                 int32_t num_top) const {
  if (!std::isfinite(score.log_sum_exp)) return NotFiniteError();
  LogprobEntry entry;
  entry.token.id = token;
  entry.token.logprob = double{score.logit} - score.log_sum_exp;
  entry.rank = int64_t{score.num_better} + 1;
  for (int32_t i = 0; i < num_top; ++i) {
    entry.top.push_back(
        {score.top[i].id, "", double{score.top[i].logit} - score.log_sum_exp});
  }
  AddTexts(entry);
  return entry;
}

RowOutcome RequestRun::TakeScore(TokenId token, const RowScore& score) const {
  RowOutcome outcome;
  absl::StatusOr<LogprobEntry> entry =
      EntryOf(token, score, *init_.request.num_prompt_logprobs);
  outcome.status = entry.status();
  if (entry.ok()) outcome.prompt_entry = *std::move(entry);
  return outcome;
}

RowOutcome RequestRun::TakeDrawn(const PlannedSlice& slice,
                                 absl::Span<const TokenId> drawn,
                                 absl::Span<const RowScore> scores) const {
  RowOutcome outcome;
  for (size_t i = 0; i < drawn.size(); ++i) {
    DrawnToken token;
    token.choice = slice.is_prompt() ? static_cast<int32_t>(i) : slice.choice;
    token.token = drawn[i];
    if (token.token < 0) {
      outcome.status = NotFiniteError();
      return outcome;
    }
    if (init_.request.num_logprobs.has_value()) {
      absl::StatusOr<LogprobEntry> entry =
          EntryOf(token.token, scores[i], *init_.request.num_logprobs);
      outcome.status = entry.status();
      if (!entry.ok()) return outcome;
      token.logprob = *std::move(entry);
    }
    outcome.drawn.push_back(std::move(token));
  }
  return outcome;
}

void RequestRun::Start(absl::Time now) {
  if (start_time_.has_value()) return;
  start_time_ = now;
  init_.place.Start();
}

void RequestRun::ApplyPrompt(const PlannedSlice& slice,
                             std::vector<RowOutcome>& outcomes,
                             absl::Span<const LayerBlocks> blocks) {
  init_.place.Advance(slice.num_tokens);
  report_.tiles_computed += NumBlocks(slice.num_tokens);
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    report_.layers[layer].visible += blocks[layer].visible;
    report_.layers[layer].selected += blocks[layer].selected;
  }
  outbox().Push(PromptProgressEvent{slice.prompt_len, 0,
                                    slice.position_begin + slice.num_tokens});
  PromptLogprobsEvent logprobs;
  logprobs.start = slice.position_begin + 1;
  for (RowOutcome& outcome : outcomes) {
    if (outcome.prompt_entry.has_value()) {
      logprobs.entries.push_back(*std::move(outcome.prompt_entry));
    }
  }
  if (!logprobs.entries.empty()) outbox().Push(std::move(logprobs));
  for (RowOutcome& outcome : outcomes) {
    if (outcome.first_distribution.empty()) continue;
    outbox().Push(
        FirstDistributionEvent{std::move(outcome.first_distribution)});
  }
}

absl::StatusOr<std::vector<int32_t>> RequestRun::Apply(
    const PlannedSlice& slice, std::vector<RowOutcome> outcomes,
    absl::Span<const LayerBlocks> blocks, absl::Time now) {
  for (const RowOutcome& outcome : outcomes) {
    SEER_RETURN_IF_ERROR(outcome.status);
  }
  if (slice.is_prompt()) {
    ApplyPrompt(slice, outcomes, blocks);
    if (slice.ends_prompt()) first_token_time_ = now;
  }
  std::vector<int32_t> ended;
  for (RowOutcome& outcome : outcomes) {
    for (DrawnToken& drawn : outcome.drawn) {
      ChoiceOutput& choice = choices_[drawn.choice];
      ChoiceOutput::Step step =
          choice.Push(drawn.token, std::move(drawn.logprob));
      ++num_output_tokens_;
      outbox().Push(std::move(step.delta));
      if (!step.finish.has_value()) continue;
      outbox().Push(*std::move(step.finish));
      ended.push_back(drawn.choice);
    }
  }
  if (slice.is_prompt() && slice.ends_prompt() &&
      init_.request.max_tokens == 0) {
    for (int32_t i = 0; i < init_.request.num_choices; ++i) {
      outbox().Push(FinishEvent{i, FinishReason::kLength, "", std::nullopt});
      ended.push_back(i);
    }
  }
  num_finished_ += static_cast<int32_t>(ended.size());
  if (num_finished_ == init_.request.num_choices) {
    done_ = true;
    end_time_ = now;
  }
  return ended;
}

void RequestRun::PushSummary() {
  SummaryEvent summary;
  summary.prompt_tokens = static_cast<int64_t>(init_.request.prompt.size());
  summary.output_tokens = num_output_tokens_;
  summary.queue_time = *start_time_ - init_.submit_time;
  summary.prefill_time = *first_token_time_ - *start_time_;
  summary.decode_time = end_time_ - *first_token_time_;
  summary.time_to_first_token = *first_token_time_ - init_.submit_time;
  summary.seed = *init_.request.sampling.seed;
  summary.sparsity = report_;
  outbox().Push(std::move(summary));
}

void RequestRun::Fail(absl::Status status) {
  outbox().Push(FailureEvent{std::move(status)});
}

}  // namespace seer
