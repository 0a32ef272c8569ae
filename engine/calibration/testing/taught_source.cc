#include "engine/calibration/testing/taught_source.h"

#include "kernels/ragged_batch.h"

namespace seer {

TaughtSource::TaughtSource(const GateShape& shape, const GateDesign& design,
                           int64_t max_tokens, Device* device) {
  for (int32_t layer = 0; layer < shape.num_layers; ++layer) {
    teachers_.emplace_back(shape, design, max_tokens, 100 + layer, device);
  }
}

absl::StatusOr<bool> TaughtSource::BeginSequence(std::vector<TokenId> tokens) {
  if (!error.ok()) return error;
  if (is_under_way()) return absl::InternalError("a sequence is under way");
  if (!has_memory) return false;
  num_tokens_ = static_cast<int64_t>(tokens.size());
  token_ = tokens[0];
  layer_ = -1;
  next_tile_ = 0;
  return true;
}

absl::StatusOr<LayerTruth> TaughtSource::Run(int32_t layer,
                                             const TileSpan& span,
                                             const WantedTargets& wanted) {
  if (!error.ok()) return error;
  if (layer == layer_ + 1 && span.first == 0) {
    if (layer > 0 && next_tile_ != NumBlocks(num_tokens_)) {
      return absl::InternalError("a layer ends before its last tile");
    }
    layer_ = layer;
    next_tile_ = 0;
    sequence_ = teachers_[layer].MakeSequence(
        num_tokens_, static_cast<uint64_t>(token_) * teachers_.size() + layer);
  }
  if (layer != layer_ || span.first != next_tile_ || !is_under_way()) {
    return absl::InternalError("not the next span");
  }
  next_tile_ = span.last;
  const TileRange range = sequence_.Range(span.first, span.last);
  LayerTruth truth;
  truth.pooled_queries = range.pooled_queries;
  truth.pooled_keys = range.pooled_keys;
  if (wanted.max) truth.max_target = range.target;
  if (wanted.mass) truth.mass_target = range.target;
  if (wanted.max || wanted.mass) seen_.insert(token_);
  truth.row_len = range.row_len;
  return truth;
}

void TaughtSource::EndSequence() { num_tokens_ = 0; }

}  // namespace seer
