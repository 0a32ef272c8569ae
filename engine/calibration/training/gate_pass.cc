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
namespace {

// NumLossTerms of a head, of all sequences.
int64_t NumTermsOf(GateLoss loss, const std::vector<int64_t>& sequence_lens) {
  int64_t num_terms = 0;
  for (const int64_t len : sequence_lens) {
    num_terms += NumLossTerms(loss, NumBlocks(len));
  }
  return num_terms;
}

}  // namespace

GatePass::GatePass(GateNetwork network, GateLoss loss,
                   std::vector<int64_t> sequence_lens, const Device* device)
    : network_(std::move(network)),
      loss_kind_(loss),
      device_(device),
      num_terms_(static_cast<double>(NumTermsOf(loss, sequence_lens)) *
                 network_.shape.num_query_heads),
      cursor_(std::move(sequence_lens), loss),
      loss_(at::zeros(
          {}, network_.weights.linear_k.options().dtype(at::kDouble))) {}

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
  SEER_RETURN_IF_ERROR(cursor_.Advance(range));
  TakeKeys(range);
  logits_.reset();
  const GateShape& shape = network_.shape;
  const int64_t loss_tile = std::max(
      range.first_tile, FirstLossTile(loss_kind_, cursor_.num_tiles()));
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
  SEER_RETURN_IF_ERROR(cursor_.EndSequence());
  if (gradients != nullptr) sequence_->Finish(gradients);
  sequence_.reset();
  logits_.reset();
  return absl::OkStatus();
}

}  // namespace seer
