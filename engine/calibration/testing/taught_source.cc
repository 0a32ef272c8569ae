#include "engine/calibration/testing/taught_source.h"

#include <ATen/ops/zeros.h>

#include "engine/model/aten/aten.h"
#include "kernels/ragged_batch.h"

namespace seer {

TaughtSource::TaughtSource(const GateShape& shape, const GateDesign& design,
                           int64_t max_tokens, Device* device)
    : num_heads_(shape.num_query_heads), device_(device) {
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
  range_ = range;
  has_output_ = wanted.output;
  LayerTruth truth;
  truth.pooled_queries = range.pooled_queries;
  truth.pooled_keys = range.pooled_keys;
  if (wanted.max) truth.max_target = range.target;
  if (wanted.mass) truth.mass_target = range.target;
  if (wanted.max || wanted.mass) seen_.insert(token_);
  truth.row_len = range.row_len;
  return truth;
}

absl::Status TaughtSource::AddOutputErrors(const BlockSets& sets,
                                           double* sums) {
  if (!has_output_ || !is_under_way()) {
    return absl::FailedPreconditionError("no output was wanted");
  }
  const int64_t num_tiles = range_.last_tile - range_.first_tile;
  const auto to_host = [this](const void* data, at::IntArrayRef shape,
                              at::ScalarType type) {
    return ViewOf(data, shape, type, *device_).cpu();
  };
  const at::Tensor mass = to_host(
      range_.target, {num_tiles, num_heads_, range_.row_len}, at::kFloat);
  const at::Tensor bits =
      to_host(sets.bits, {num_tiles, num_heads_, sets.num_words}, at::kLong);
  const at::Tensor counts =
      to_host(sets.counts, {num_tiles, num_heads_}, at::kInt);
  const at::Tensor errors = at::zeros({num_heads_}, at::kDouble);
  for (int64_t row = 0; row < num_tiles * num_heads_; ++row) {
    const int64_t tile = range_.first_tile + row / num_heads_;
    const int64_t head = row % num_heads_;
    if (counts.const_data_ptr<int32_t>()[row] == tile + 1) continue;
    for (int64_t j = 0; j <= tile; ++j) {
      const int64_t word =
          bits.const_data_ptr<int64_t>()[row * sets.num_words + j / 64];
      if ((word >> (j % 64)) & 1) continue;
      errors.mutable_data_ptr<double>()[head] +=
          (head + 1 == num_heads_ ? 100.0 : 1.0) *
          mass.const_data_ptr<float>()[row * range_.row_len + j];
    }
  }
  at::Tensor to = ViewOf(sums, {num_heads_}, at::kDouble, *device_);
  to.add_(errors.to(AtenDevice(*device_)));
  return absl::OkStatus();
}

void TaughtSource::EndSequence() { num_tokens_ = 0; }

}  // namespace seer
