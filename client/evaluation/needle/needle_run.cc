#include "client/evaluation/needle/needle_run.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/evaluation/needle/needle_prompts.h"
#include "client/evaluation/text_tokens.h"
#include "client/evaluation/token_windows.h"

namespace seer {
namespace {

// The facts of one trial, as tokens.
struct Trial {
  std::vector<std::vector<int32_t>> sentences;  // [candidates]; 0 is asked for
  // [candidates]: the question with each value; of one length.
  std::vector<std::vector<int32_t>> answers;
  size_t common = 0;      // tokens that all answers begin with
  size_t num_tokens = 0;  // of sentences and one answer
};

absl::StatusOr<Trial> MakeTrial(const Scorer& scorer, const NeedleArgs& args,
                                int index) {
  const std::vector<Needle> needles =
      MakeNeedles(args.num_candidates, args.seed + index);
  Trial trial;
  for (const Needle& needle : needles) {
    SEER_ASSIGN_OR_RETURN(
        trial.sentences.emplace_back(),
        TokensOf(scorer.client, NeedleSentence(needle), scorer.options));
    SEER_ASSIGN_OR_RETURN(
        trial.answers.emplace_back(),
        TokensOf(scorer.client, NeedleAnswer(needles[0].key, needle.value),
                 scorer.options));
    trial.num_tokens += trial.sentences.back().size();
  }
  trial.common = CommonPrefix(trial.answers);
  size_t longest = 0;
  for (const std::vector<int32_t>& answer : trial.answers) {
    longest = std::max(longest, answer.size());
  }
  trial.num_tokens += longest;
  return trial;
}

// The tokens of one or more newlines, where they are single tokens.
absl::StatusOr<std::vector<int32_t>> LineBreaks(const Scorer& scorer) {
  std::vector<int32_t> breaks;
  for (const char* text : {"\n", "\n\n"}) {
    SEER_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                          TokensOf(scorer.client, text, scorer.options));
    if (ids.size() == 1) breaks.push_back(ids[0]);
  }
  return breaks;
}

// What one prompt came to.
struct PromptResult {
  absl::Status status;
  double score = 0;
  int64_t blocks_visible = 0;
  int64_t blocks_selected = 0;
};

class NeedleRun {
 public:
  NeedleRun(const NeedleArgs& args, std::vector<Trial> trials,
            std::vector<int32_t> line_breaks)
      : args_(args),
        trials_(std::move(trials)),
        line_breaks_(std::move(line_breaks)) {
    report_.policies = args.grid.policies;
    report_.num_candidates = args.num_candidates;
    report_.left_out = args.grid.left_out;
    for (const int64_t length : args.lengths) {
      for (size_t policy = 0; policy < report_.policies.size(); ++policy) {
        for (const double depth : args.depths) {
          NeedleCell& cell = report_.cells.emplace_back();
          cell.length = length;
          cell.policy = policy;
          cell.depth = depth;
        }
      }
    }
  }

  // INVALID_ARGUMENT: facts or filler do not fit a length.
  absl::Status CheckLengths() const {
    for (const int64_t length : args_.lengths) {
      for (const Trial& trial : trials_) {
        const int64_t filler = FillerOf(trial, length);
        if (filler < 1) {
          return absl::InvalidArgumentError(absl::StrCat(
              "a prompt of ", length, " tokens does not hold its facts"));
        }
        if (filler > static_cast<int64_t>(args_.filler.size())) {
          return absl::InvalidArgumentError(
              absl::StrCat("prompts of ", length, " tokens need ", filler,
                           " of filler; the text has ", args_.filler.size()));
        }
      }
    }
    return absl::OkStatus();
  }

  NeedleReport Run(const Scorer& scorer) {
    const int64_t candidates = args_.num_candidates;
    std::vector<PromptResult> results(report_.cells.size() * trials_.size() *
                                      candidates);
    ScoreAll(
        scorer, static_cast<int64_t>(results.size()),
        [&](int64_t i) {
          return Prompt(report_.cells[i / candidates / trials_.size()],
                        i / candidates % trials_.size(), i % candidates);
        },
        [&](int64_t i, absl::StatusOr<ScoredTokens> scored) {
          PromptResult& result = results[i];
          result.status = scored.status();
          if (!scored.ok()) return;
          const Trial& trial = trials_[i / candidates % trials_.size()];
          const size_t num_scored =
              trial.answers[i % candidates].size() - trial.common;
          result.score = std::accumulate(scored->logprobs.end() - num_scored,
                                         scored->logprobs.end(), 0.0);
          result.blocks_visible = scored->sparsity.blocks_visible();
          result.blocks_selected = scored->sparsity.blocks_selected();
        });
    auto next = results.begin();
    for (NeedleCell& cell : report_.cells) {
      for (size_t trial = 0; trial < trials_.size(); ++trial) {
        AddTrial({&*next, static_cast<size_t>(candidates)}, &cell);
        next += candidates;
      }
    }
    return std::move(report_);
  }

 private:
  int64_t FillerOf(const Trial& trial, int64_t length) const {
    return length -
           static_cast<int64_t>(args_.begin_ids.size() + trial.num_tokens);
  }

  ScoringJob Prompt(const NeedleCell& cell, size_t trial_index,
                    size_t candidate) const {
    const Trial& trial = trials_[trial_index];
    const int64_t num_filler = FillerOf(trial, cell.length);
    const std::vector<int64_t> starts =
        WindowStarts(static_cast<int64_t>(args_.filler.size()), num_filler,
                     static_cast<int64_t>(trials_.size()));
    HaystackArgs haystack;
    haystack.filler =
        absl::MakeConstSpan(args_.filler)
            .subspan(starts[trial_index % starts.size()], num_filler);
    haystack.sentences = trial.sentences;
    haystack.depth = cell.depth;
    haystack.line_breaks = line_breaks_;
    ScoringJob job;
    job.policy = report_.policies[cell.policy].policy;
    job.ids = args_.begin_ids;
    for (const std::vector<int32_t>& part :
         {BuildHaystack(haystack), trial.answers[candidate]}) {
      job.ids.insert(job.ids.end(), part.begin(), part.end());
    }
    return job;
  }

  static void AddTrial(absl::Span<const PromptResult> results,
                       NeedleCell* cell) {
    std::vector<double> scores;
    for (const PromptResult& result : results) {
      cell->status.Update(result.status);
      scores.push_back(result.score);
      cell->blocks_visible += result.blocks_visible;
      cell->blocks_selected += result.blocks_selected;
    }
    const int rank = RankOfFirst(scores);
    ++cell->num_trials;
    cell->num_right += rank == 1 ? 1 : 0;
    cell->rank_sum += rank;
  }

  const NeedleArgs& args_;
  const std::vector<Trial> trials_;
  const std::vector<int32_t> line_breaks_;
  NeedleReport report_;
};

}  // namespace

absl::StatusOr<NeedleReport> FindNeedles(const Scorer& scorer,
                                         const NeedleArgs& args) {
  SEER_ASSIGN_OR_RETURN(std::vector<int32_t> line_breaks, LineBreaks(scorer));
  std::vector<Trial> trials;
  for (int i = 0; i < args.num_trials; ++i) {
    SEER_ASSIGN_OR_RETURN(trials.emplace_back(), MakeTrial(scorer, args, i));
  }
  NeedleRun run(args, std::move(trials), std::move(line_breaks));
  SEER_RETURN_IF_ERROR(run.CheckLengths());
  return run.Run(scorer);
}

}  // namespace seer
