#include "engine/model/step/launched_step.h"

#include <cmath>
#include <cstddef>

#include "absl/types/span.h"
#include "base/status_macros.h"

namespace seer {

std::vector<std::vector<int32_t>> LaunchedStep::DrawnPlaces() const {
  std::vector<std::vector<int32_t>> drawn(work_.layout.batch().num_sequences);
  const std::vector<BatchLayout::RowToken>& draws = work_.layout.draws();
  for (size_t i = 0; i < draws.size(); ++i) {
    drawn[draws[i].sequence].push_back(work_.places[i]);
  }
  return drawn;
}

void LaunchedStep::GiveScore(int64_t place, int32_t num_top,
                             RowScore* score) const {
  const StepResults::FetchedScores from = work_.results.fetched_scores();
  score->log_sum_exp = from.log_sums[place];
  score->top.clear();
  if (std::isnan(score->log_sum_exp)) return;
  score->logit = from.logits[place];
  score->num_better = from.ranks[place];
  const int64_t first = place * work_.results.shape().num_top;
  for (int64_t i = first; i < first + num_top; ++i) {
    score->top.push_back({from.top_ids[i], from.top_logits[i]});
  }
}

// Scores stand in the results as Work says.
void LaunchedStep::GiveTokens() const {
  const BatchLayout& layout = work_.layout;
  int64_t place = 0;
  for (const BatchLayout::RowToken& scored : layout.scored()) {
    const BatchSequence& sequence = layout.sequence(scored);
    GiveScore(place++, sequence.num_top, &sequence.scores[scored.index]);
  }
  for (size_t i = 0; i < layout.draws().size(); ++i) {
    const BatchLayout::RowToken& draw = layout.draws()[i];
    const BatchSequence& sequence = layout.sequence(draw);
    sequence.drawn[draw.index] = work_.results.fetched_drawn()[work_.places[i]];
    if (sequence.drawn_scores == nullptr) continue;
    GiveScore(place + work_.places[i], sequence.num_top,
              &sequence.drawn_scores[draw.index]);
  }
}

absl::StatusOr<ForwardReport> LaunchedStep::Finish() const {
  SEER_RETURN_IF_ERROR(clock_->Wait());
  GiveTokens();
  for (int32_t layer = 0; layer < config_->num_layers; ++layer) {
    work_.layout.CountBlocks(layer, config_->num_query_heads,
                             work_.layout.selects()
                                 ? work_.results.CountsOf(layer)
                                 : absl::Span<const int64_t>());
  }
  return Report();
}

ForwardReport LaunchedStep::Report() const {
  ForwardReport report;
  report.total_time = clock_->Between(0, end_);
  if (!work_.is_timed) return report;
  for (int32_t layer = 0; layer < config_->num_layers; ++layer) {
    const int first = 1 + layer * static_cast<int>(LayerPoint::kNumPoints);
    const auto between = [&](LayerPoint begin, LayerPoint end) {
      return clock_->Between(first + static_cast<int>(begin),
                             first + static_cast<int>(end));
    };
    report.prepare_time += between(LayerPoint::kBegin, LayerPoint::kPrepared);
    report.gate_time += between(LayerPoint::kPrepared, LayerPoint::kSelected);
    report.attention_time +=
        between(LayerPoint::kSelected, LayerPoint::kAttended);
  }
  return report;
}

}  // namespace seer
