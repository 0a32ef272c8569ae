#include "engine/calibration/run/sequence_pass.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "kernels/ragged_batch.h"

namespace seer {

std::vector<TileSpan> SequencePass::Spans(int64_t border) const {
  return CutIntoSpans(NumBlocks(parts_.sequence_len), border, parts_.limits);
}

bool SequencePass::FirstIsScored(int64_t border) const {
  return Spans(border).front().last > border;
}

absl::StatusOr<bool> SequencePass::Begin(std::vector<TokenId> tokens,
                                         int64_t border,
                                         const WantedTargets& wanted) {
  SEER_ASSIGN_OR_RETURN(is_under_way_,
                        parts_.source->BeginSequence(std::move(tokens)));
  if (!is_under_way_) return false;
  border_ = border;
  wanted_ = wanted;
  spans_ = Spans(border);
  layer_ = 0;
  span_ = 0;
  num_token_layers_ = 0;
  return true;
}

absl::StatusOr<PassPart> SequencePass::Next() {
  const TileSpan span = spans_[span_];
  PassPart part;
  part.layer = layer_;
  part.is_scored = next_is_scored();
  const bool is_max = parts_.target == CalibrationTarget::kMax;
  WantedTargets wanted;
  if (part.is_scored) {
    wanted = wanted_;
    (is_max ? wanted.max : wanted.mass) = true;
  }
  SEER_ASSIGN_OR_RETURN(const LayerTruth truth,
                        parts_.source->Run(layer_, span, wanted));
  part.range.first_tile = span.first;
  part.range.last_tile = span.last;
  part.range.pooled_queries = truth.pooled_queries;
  part.range.pooled_keys = truth.pooled_keys;
  part.range.target = is_max ? truth.max_target : truth.mass_target;
  part.range.row_len = truth.row_len;
  part.truth.mass = truth.mass_target;
  if (wanted.output) {
    part.truth.errors = [source = parts_.source](const BlockSets& sets,
                                                 double* sums) {
      return source->AddOutputErrors(sets, sums);
    };
  }
  num_token_layers_ += std::min(span.last * kBlockSize, parts_.sequence_len) -
                       span.first * kBlockSize;
  part.ends_layer = ++span_ == spans_.size();
  if (part.ends_layer) {
    span_ = 0;
    part.ends_sequence = ++layer_ == parts_.num_layers;
  }
  return part;
}

void SequencePass::End() {
  if (is_under_way_) parts_.source->EndSequence();
  is_under_way_ = false;
  num_token_layers_ = 0;
}

}  // namespace seer
