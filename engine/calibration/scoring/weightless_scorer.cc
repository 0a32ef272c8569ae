#include "engine/calibration/scoring/weightless_scorer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status_macros.h"
#include "engine/calibration/network/gate_loss.h"
#include "engine/calibration/network/gate_network.h"
#include "engine/calibration/tile_cursor.h"
#include "engine/gate/gate_design.h"
#include "engine/model/aten/aten.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// What all of them do: sequences and ranges in their order.
class WeightlessPass : public ScorePass {
 public:
  explicit WeightlessPass(std::vector<int64_t> sequence_lens)
      : cursor_(std::move(sequence_lens)) {}

  absl::Status AddRange(const TileRange& range) final {
    SEER_RETURN_IF_ERROR(cursor_.Advance(range));
    Score(range);
    return absl::OkStatus();
  }
  absl::Status EndSequence() final { return cursor_.EndSequence(); }
  bool is_complete() const final { return cursor_.is_complete(); }
  int64_t sequence_len() const final { return cursor_.sequence_len(); }

 protected:
  virtual void Score(const TileRange& range) = 0;

 private:
  TileCursor cursor_;
};

class OraclePass final : public WeightlessPass {
 public:
  using WeightlessPass::WeightlessPass;

  BlockScores scores() override { return scores_; }
  double loss() const override { return 0.0; }

 private:
  void Score(const TileRange& range) override {
    scores_ = {range.target, range.row_len};
  }

  BlockScores scores_;
};

class MeanPoolPass final : public WeightlessPass {
 public:
  MeanPoolPass(const WeightlessScorer::Options& options,
               const std::vector<int64_t>& sequence_lens, const Device* device)
      : WeightlessPass(sequence_lens), options_(options), device_(*device) {
    const at::TensorOptions floats =
        at::TensorOptions(at::kFloat).device(AtenDevice(device_));
    const GateShape& shape = options_.shape;
    int64_t longest = 0;
    for (const int64_t len : sequence_lens) {
      longest = std::max(longest, NumBlocks(len));
      num_terms_ +=
          static_cast<double>(NumLossTerms(options_.loss, NumBlocks(len))) *
          shape.num_query_heads;
    }
    keys_ = at::empty({shape.num_kv_heads, longest, shape.head_dim}, floats);
    loss_ = at::zeros({}, floats.dtype(at::kDouble));
  }

  BlockScores scores() override {
    // As the kernels have them: [tiles, Hq, blocks].
    scores_ = logits_.transpose(0, 1).contiguous();
    return {scores_.const_data_ptr<float>(), scores_.size(2)};
  }
  double loss() const override { return loss_.item<double>(); }

 private:
  void Score(const TileRange& range) override {
    const GateShape& shape = options_.shape;
    const int64_t num_tiles = range.last_tile - range.first_tile;
    keys_.narrow(1, range.first_tile, num_tiles)
        .copy_(RopedMeans(ViewOf(range.pooled_keys,
                                 {range.last_tile, shape.num_kv_heads,
                                  kNumPools, shape.head_dim},
                                 at::kFloat, device_)
                              .narrow(0, range.first_tile, num_tiles),
                          range.first_tile));
    const at::Tensor queries = RopedMeans(
        ViewOf(range.pooled_queries,
               {num_tiles, shape.num_query_heads, kNumPools, shape.head_dim},
               at::kFloat, device_),
        range.first_tile);
    logits_ = queries.view({shape.num_kv_heads, -1, shape.head_dim})
                  .bmm(keys_.narrow(1, 0, range.last_tile).transpose(1, 2))
                  .mul_(1.0 / std::sqrt(static_cast<double>(shape.head_dim)))
                  .view({shape.num_query_heads, num_tiles, range.last_tile});
    AddLoss(range);
  }

  // [M, H, kNumPools, D] of the blocks from first_block on -> [H, M, D].
  at::Tensor RopedMeans(const at::Tensor& pools, int64_t first_block) const {
    const at::Tensor means =
        BlockMeans(pools.select(2, kPoolRopedSum), first_block, sequence_len())
            .transpose(0, 1)
            .contiguous();
    if (options_.shape.dtype == DType::kFloat32) return means;
    return means.to(at::kBFloat16).to(at::kFloat);
  }

  void AddLoss(const TileRange& range) {
    const int64_t loss_tile =
        std::max(range.first_tile,
                 FirstLossTile(options_.loss, NumBlocks(sequence_len())));
    if (loss_tile >= range.last_tile) return;
    const int64_t skipped = loss_tile - range.first_tile;
    const int64_t num_counted = range.last_tile - loss_tile;
    GateLossArgs args;
    args.loss = options_.loss;
    args.first_tile = loss_tile;
    args.num_terms = num_terms_;
    args.logits = logits_.narrow(1, skipped, num_counted);
    args.target = ViewOf(range.target,
                         {range.last_tile - range.first_tile,
                          options_.shape.num_query_heads, range.row_len},
                         at::kFloat, device_)
                      .narrow(0, skipped, num_counted)
                      .narrow(2, 0, range.last_tile)
                      .transpose(0, 1);
    loss_.add_(ComputeGateLoss(args).value);
  }

  const WeightlessScorer::Options options_;
  const Device& device_;
  double num_terms_ = 0.0;
  at::Tensor keys_;    // means of roped keys [Hk, blocks, D]
  at::Tensor logits_;  // of the last range [Hq, tiles, last_tile]
  at::Tensor scores_;  // the same [tiles, Hq, last_tile]
  at::Tensor loss_;    // double, a scalar
};

}  // namespace

absl::StatusOr<std::unique_ptr<ScorePass>> WeightlessScorer::Begin(
    std::vector<int64_t> sequence_lens) const {
  if (sequence_lens.empty() ||
      *std::min_element(sequence_lens.begin(), sequence_lens.end()) < 1) {
    return absl::InvalidArgumentError(
        "calibration: no sequence, or an empty one");
  }
  if (options_.design == kMeanPoolDesign) {
    return std::make_unique<MeanPoolPass>(options_, sequence_lens, device_);
  }
  return std::make_unique<OraclePass>(std::move(sequence_lens));
}

}  // namespace seer
