#include "client/evaluation/perplexity/perplexity_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/evaluation/token_windows.h"

namespace seer {
namespace {

// One scoring request.
struct Window {
  size_t cell;
  const EvaluationText* text;
  int64_t start;
  int64_t num_ids;  // of the text
};

struct WindowResult {
  absl::Status status;
  PerplexitySums sums;
  std::string gate_version;
};

void AddCells(const PerplexityArgs& args, const EvaluationText& text,
              int64_t length, PerplexityReport* report,
              std::vector<Window>* windows) {
  const int64_t num_ids = length - static_cast<int64_t>(args.begin_ids.size());
  const auto num_text_ids = static_cast<int64_t>(text.ids.size());
  const std::vector<int64_t> starts =
      WindowStarts(num_text_ids, num_ids, args.max_windows);
  if (starts.empty()) {
    report->left_out.push_back(absl::StrCat(
        text.name, " at ", length, ": it has ", num_text_ids, " tokens"));
    return;
  }
  for (size_t policy = 0; policy < report->policies.size(); ++policy) {
    for (const int64_t start : starts) {
      windows->push_back({report->cells.size(), &text, start, num_ids});
    }
    PerplexityCell& cell = report->cells.emplace_back();
    cell.text = text.name;
    cell.length = length;
    cell.policy = policy;
    cell.starts = starts;
  }
}

// Adds the cells of "all", from those of each text.
void AddTotals(const std::vector<int64_t>& lengths, PerplexityReport* report) {
  const size_t num_cells = report->cells.size();
  for (const int64_t length : lengths) {
    for (size_t policy = 0; policy < report->policies.size(); ++policy) {
      PerplexityCell total;
      total.text = "all";
      total.length = length;
      total.policy = policy;
      bool any = false;
      for (size_t i = 0; i < num_cells; ++i) {
        const PerplexityCell& cell = report->cells[i];
        if (cell.length != length || cell.policy != policy) continue;
        any = true;
        total.sums.Add(cell.sums);
        total.gate_version = cell.gate_version;
        total.status.Update(cell.status);
      }
      if (any) report->cells.push_back(std::move(total));
    }
  }
}

}  // namespace

absl::StatusOr<PerplexityReport> MeasurePerplexity(const Scorer& scorer,
                                                   const PerplexityArgs& args) {
  PerplexityReport report;
  report.policies = args.grid.policies;
  report.left_out = args.grid.left_out;
  std::vector<Window> windows;
  for (const int64_t length : args.lengths) {
    if (length < static_cast<int64_t>(args.begin_ids.size()) + 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("a length of ", length, " tokens has nothing to score"));
    }
  }
  for (const EvaluationText& text : args.texts) {
    for (const int64_t length : args.lengths) {
      AddCells(args, text, length, &report, &windows);
    }
  }

  std::vector<WindowResult> results(windows.size());
  ScoreAll(
      scorer, static_cast<int64_t>(windows.size()),
      [&](int64_t i) {
        const Window& window = windows[i];
        const auto begin = window.text->ids.begin() + window.start;
        ScoringJob job;
        job.ids = args.begin_ids;
        job.ids.insert(job.ids.end(), begin, begin + window.num_ids);
        job.policy = report.policies[report.cells[window.cell].policy].policy;
        return job;
      },
      [&](int64_t i, absl::StatusOr<ScoredTokens> scored) {
        results[i].status = scored.status();
        if (!scored.ok()) return;
        results[i].sums = SumsOf(scored->logprobs, scored->sparsity);
        results[i].gate_version = scored->sparsity.gate_version();
      });
  for (size_t i = 0; i < windows.size(); ++i) {
    PerplexityCell& cell = report.cells[windows[i].cell];
    cell.status.Update(results[i].status);
    cell.sums.Add(results[i].sums);
    cell.gate_version = results[i].gate_version;
  }
  if (args.texts.size() > 1) AddTotals(args.lengths, &report);
  return report;
}

}  // namespace seer
