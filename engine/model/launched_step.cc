#include "engine/model/launched_step.h"

#include "absl/types/span.h"
#include "base/status_macros.h"

namespace seer {

std::vector<int32_t> LaunchedStep::DrawnPlaces() const {
  std::vector<int32_t> drawn(work_.layout.batch().num_sequences, -1);
  const std::vector<BatchLayout::LogitsRow>& rows = work_.layout.best_rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    drawn[rows[i].sequence] = work_.places[i];
  }
  return drawn;
}

absl::StatusOr<ForwardReport> LaunchedStep::Finish() const {
  SEER_RETURN_IF_ERROR(clock_->Wait());
  std::vector<int32_t> best_tokens;
  for (const int32_t place : work_.places) {
    best_tokens.push_back(work_.results.fetched_best_tokens()[place]);
  }
  work_.layout.SetBestTokens(best_tokens);
  for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
    work_.layout.CountBlocks(layer, config_.num_query_heads,
                             work_.layout.gates().empty()
                                 ? absl::Span<const int64_t>()
                                 : work_.results.CountsOf(layer));
  }
  return Report();
}

ForwardReport LaunchedStep::Report() const {
  ForwardReport report;
  if (!work_.is_timed) return report;
  for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
    const int first = layer * static_cast<int>(LayerPoint::kNumPoints);
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
