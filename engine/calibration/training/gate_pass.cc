#include "engine/calibration/training/gate_pass.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/network/gate_loss.h"
#include "engine/model/aten/aten.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {

GatePass::GatePass(GateNetwork network, GateLoss loss,
                   std::vector<int64_t> sequence_lens, const Device* device)
    : network_(std::move(network)),
      loss_kind_(loss),
      sequence_lens_(std::move(sequence_lens)),
      device_(device),
      loss_(at::zeros({},
                      network_.weights.linear_k.options().dtype(at::kDouble))) {
  for (const int64_t len : sequence_lens_) {
    num_terms_ += static_cast<double>(NumLossTerms(loss, NumBlocks(len)));
  }
  num_terms_ *= network_.shape.num_query_heads;
}

absl::Status GatePass::Check(const GateNetwork& network,
                             const std::vector<int64_t>& sequence_lens) {
  if (sequence_lens.empty()) {
    return absl::InvalidArgumentError("calibration: a step of no sequences");
  }
  for (const int64_t len : sequence_lens) {
    if (len < 1 || NumBlocks(len) > network.cos.size(0)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "calibration: a sequence of ", len, " tokens: outside 1..",
          network.cos.size(0) * kBlockSize));
    }
  }
  return absl::OkStatus();
}

absl::Status GatePass::CheckRange(const TileRange& range) const {
  if (is_complete()) {
    return absl::FailedPreconditionError(
        "calibration: every sequence of the step has ended");
  }
  const int64_t num_tiles = NumBlocks(sequence_len());
  const bool is_next =
      next_tile_ > 0
          ? range.first_tile == next_tile_
          : range.first_tile >= 0 &&
                range.first_tile <= FirstLossTile(loss_kind_, num_tiles);
  if (!is_next || range.last_tile <= range.first_tile ||
      range.last_tile > num_tiles || range.row_len < range.last_tile) {
    return absl::InvalidArgumentError(
        absl::StrCat("calibration: tiles ", range.first_tile, "..",
                     range.last_tile, " with rows of ", range.row_len,
                     " after tile ", next_tile_, " of ", num_tiles));
  }
  if (range.pooled_queries == nullptr || range.pooled_keys == nullptr ||
      range.target == nullptr) {
    return absl::InvalidArgumentError("calibration: a range lacks a pointer");
  }
  return absl::OkStatus();
}

void GatePass::TakeKeys(const TileRange& range) {
  const GateShape& shape = network_.shape;
  if (!sequence_.has_value()) sequence_.emplace(network_, sequence_len());
  const int64_t num_keys = sequence_->num_keys();
  const at::Tensor pooled_keys =
      ViewOf(range.pooled_keys,
             {range.last_tile, shape.num_kv_heads, kNumPools, shape.head_dim},
             at::kFloat, *device_);
  sequence_->AddKeys(
      pooled_keys.narrow(0, num_keys, range.last_tile - num_keys));
}

absl::Status GatePass::AddRange(const TileRange& range,
                                GateParameters* gradients) {
  SEER_RETURN_IF_ERROR(CheckRange(range));
  TakeKeys(range);
  next_tile_ = range.last_tile;
  logits_.reset();
  const GateShape& shape = network_.shape;
  const int64_t loss_tile = std::max(
      range.first_tile, FirstLossTile(loss_kind_, NumBlocks(sequence_len())));
  const int64_t scored_tile =
      gradients != nullptr ? loss_tile : range.first_tile;
  if (scored_tile >= range.last_tile) return absl::OkStatus();

  const int64_t num_tiles = range.last_tile - range.first_tile;
  const int64_t num_scored = range.last_tile - scored_tile;
  const at::Tensor queries =
      ViewOf(range.pooled_queries,
             {num_tiles, shape.num_query_heads, kNumPools, shape.head_dim},
             at::kFloat, *device_);
  logits_ = sequence_->Score(
      queries.narrow(0, scored_tile - range.first_tile, num_scored),
      scored_tile);
  if (loss_tile >= range.last_tile) return absl::OkStatus();

  const int64_t num_counted = range.last_tile - loss_tile;
  GateLossArgs args;
  args.loss = loss_kind_;
  args.first_tile = loss_tile;
  args.num_terms = num_terms_;
  args.logits = logits_.narrow(1, loss_tile - scored_tile, num_counted);
  args.target =
      ViewOf(range.target, {num_tiles, shape.num_query_heads, range.row_len},
             at::kFloat, *device_)
          .narrow(0, loss_tile - range.first_tile, num_counted)
          .narrow(2, 0, range.last_tile)
          .transpose(0, 1);
  const GateLossResult loss = ComputeGateLoss(args);
  loss_.add_(loss.value);
  if (gradients != nullptr) sequence_->AddGradient(loss.gradient, gradients);
  return absl::OkStatus();
}

absl::Status GatePass::EndSequence(GateParameters* gradients) {
  if (is_complete() || next_tile_ != NumBlocks(sequence_len())) {
    return absl::FailedPreconditionError(
        "calibration: a sequence ends before its last tile");
  }
  if (gradients != nullptr) sequence_->Finish(gradients);
  sequence_.reset();
  logits_.reset();
  next_tile_ = 0;
  ++current_;
  return absl::OkStatus();
}

}  // namespace seer
