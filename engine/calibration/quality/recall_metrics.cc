#include "engine/calibration/quality/recall_metrics.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/network/gate_loss.h"
#include "engine/model/aten.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/block_selection/row_budget.h"

namespace seer {
namespace {

// What is summed for a density and a head.
enum Sum : int { kMass, kOracleMass, kSelected, kOracleSelected, kBoth };
constexpr int kNumSums = 5;

// A range of one prompt's tiles as a batch, with the rule of a density, where
// the kernels look for them.
class RangeBatch {
 public:
  RangeBatch(const RecallOptions& options, const RecallRange& range,
             int32_t num_query_heads, const Device& device)
      : device_(device), num_query_heads_(num_query_heads) {
    const int64_t num_tiles = NumBlocks(range.prompt_len);
    slice_.position_begin = static_cast<int32_t>(range.first_tile * kBlockSize);
    slice_.prompt_len = static_cast<int32_t>(range.prompt_len);
    for (int64_t i = range.first_tile; i < range.last_tile; ++i) {
      Tile tile;
      tile.row_begin = slice_.num_rows;
      tile.num_rows = static_cast<int32_t>(
          std::min<int64_t>(kBlockSize, range.prompt_len - i * kBlockSize));
      tile.block = static_cast<int32_t>(i);
      slice_.num_rows += tile.num_rows;
      tiles_.push_back(tile);
    }
    // Selection reads no page, but a slice has its table.
    pages_.resize(range.last_tile);
    slice_.page_table = OnDevice(pages_.data(), pages_.size());
    rule_.kind = SelectionRule::Kind::kRowBudget;
    rule_.num_prompt_tiles = static_cast<int32_t>(num_tiles);
    rule_.sink_blocks = options.sink_blocks;
    rule_.dense_last_blocks = options.dense_last_blocks;
    batch_.sequences = OnDevice(&slice_, 1);
    batch_.tiles = OnDevice(tiles_.data(), tiles_.size());
    batch_.num_sequences = 1;
    batch_.num_rows = slice_.num_rows;
    batch_.num_tiles = static_cast<int32_t>(tiles_.size());
    batch_.num_prompt_tiles = batch_.num_tiles;
  }
  RangeBatch(const RangeBatch&) = delete;
  RangeBatch& operator=(const RangeBatch&) = delete;

  const RaggedBatch& batch() const { return batch_; }

  const SelectionRule* RuleAt(double density) {
    RowBudgetShape shape;
    shape.num_tiles = rule_.num_prompt_tiles;
    shape.sink_blocks = rule_.sink_blocks;
    shape.dense_last_blocks = rule_.dense_last_blocks;
    budgets_.assign(
        num_query_heads_,
        static_cast<int32_t>(SolveRowBudget(shape, density).k_1024));
    rule_.row_budgets = OnDevice(budgets_.data(), budgets_.size());
    return OnDevice(&rule_, 1);
  }

 private:
  // Where the host shares the device's memory this is `host` itself.
  template <typename T>
  const T* OnDevice(const T* host, size_t size) {
    kept_.push_back(at::from_blob(const_cast<T*>(host),
                                  {static_cast<int64_t>(size * sizeof(T))},
                                  at::kByte)
                        .to(AtenDevice(device_)));
    return static_cast<const T*>(kept_.back().const_data_ptr());
  }

  const Device& device_;
  const int32_t num_query_heads_;
  SequenceSlice slice_;
  std::vector<int32_t> pages_;
  std::vector<Tile> tiles_;
  SelectionRule rule_;
  std::vector<int32_t> budgets_;
  std::vector<at::Tensor> kept_;
  RaggedBatch batch_;
};

// The sets as bool [tiles, Hq, num_blocks]. A row whose count is all that is
// visible has no bits to read.
at::Tensor ToMask(const at::Tensor& bits, const at::Tensor& counts,
                  const at::Tensor& visible) {
  const int64_t num_blocks = visible.size(-1);
  const at::Tensor shifts = at::arange(64, bits.options());
  const at::Tensor is_set = at::bitwise_right_shift(bits.unsqueeze(-1), shifts)
                                .bitwise_and_(1)
                                .to(at::kBool)
                                .flatten(-2)
                                .narrow(-1, 0, num_blocks);
  const at::Tensor is_full =
      counts.eq(visible.sum(-1).unsqueeze(-1)).unsqueeze(-1);
  return is_set.logical_or(is_full).logical_and_(visible.unsqueeze(1));
}

absl::Status CheckRange(const RecallRange& range) {
  if (range.first_tile < 0 || range.last_tile <= range.first_tile ||
      range.last_tile > NumBlocks(range.prompt_len) ||
      range.logits_row_len < range.last_tile ||
      range.row_len < range.last_tile || range.logits == nullptr ||
      range.target == nullptr || range.mass == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "recall: tiles ", range.first_tile, "..", range.last_tile,
        " of a prompt of ", range.prompt_len, " tokens: shapes disagree"));
  }
  return absl::OkStatus();
}

}  // namespace

struct RecallMetrics::Totals {
  at::Tensor sums;  // double [densities, kNumSums, Hq]
};

RecallMetrics::RecallMetrics(const RecallOptions& options,
                             int32_t num_query_heads, const Device* device)
    : options_(options), num_query_heads_(num_query_heads), device_(device) {}

RecallMetrics::~RecallMetrics() = default;

absl::StatusOr<std::unique_ptr<RecallMetrics>> RecallMetrics::Create(
    const RecallOptions& options, int32_t num_query_heads,
    const Device* device) {
  if (num_query_heads < 1 || options.sink_blocks < 0 ||
      options.sink_blocks > 16 || options.dense_last_blocks < 0) {
    return absl::InvalidArgumentError(
        "recall: heads, sink_blocks or dense_last_blocks out of range");
  }
  for (const double density : options.densities) {
    if (!(density > 0.0 && density <= 1.0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("recall: density ", density, ": outside (0, 1]"));
    }
  }
  std::unique_ptr<RecallMetrics> metrics(
      new RecallMetrics(options, num_query_heads, device));
  SEER_RETURN_IF_ERROR(CatchingExceptions("measuring recall", [&] {
    const c10::InferenceMode inference;
    metrics->totals_.reset(new Totals{
        at::zeros({static_cast<int64_t>(options.densities.size()), kNumSums,
                   num_query_heads},
                  at::TensorOptions(at::kDouble).device(AtenDevice(*device)))});
    return absl::OkStatus();
  }));
  return metrics;
}

absl::Status RecallMetrics::AddRange(const RecallRange& range) {
  SEER_RETURN_IF_ERROR(CheckRange(range));
  return CatchingExceptions("measuring recall", [&] {
    const c10::InferenceMode inference;
    return Judge(range);
  });
}

absl::Status RecallMetrics::Judge(const RecallRange& range) {
  const int64_t num_tiles = range.last_tile - range.first_tile;
  const int64_t num_words = (range.last_tile + 63) / 64;
  const at::Device device = AtenDevice(*device_);
  const at::Tensor visible =
      VisibleBlocksOf(range.first_tile, num_tiles, range.last_tile, device);
  const at::Tensor mass =
      ViewOf(range.mass, {num_tiles, num_query_heads_, range.row_len},
             at::kFloat, *device_)
          .narrow(-1, 0, range.last_tile);
  const at::Tensor bits =
      at::empty({num_tiles, num_query_heads_, num_words},
                at::TensorOptions(at::kLong).device(device));
  const at::Tensor counts =
      at::empty({num_tiles, num_query_heads_},
                at::TensorOptions(at::kInt).device(device));
  RangeBatch batch(options_, range, num_query_heads_, *device_);
  BlockSelectionArgs args;
  args.batch = batch.batch();
  args.num_query_heads = num_query_heads_;
  args.sets.bits = static_cast<uint64_t*>(bits.mutable_data_ptr());
  args.sets.counts = static_cast<int32_t*>(counts.mutable_data_ptr());
  args.sets.num_words = static_cast<int32_t>(num_words);
  args.sets.num_query_heads = num_query_heads_;
  // Bool [tiles, Hq, blocks] of the sets that these scores lead to.
  const auto select = [&](const float* scores,
                          int64_t row_len) -> absl::StatusOr<at::Tensor> {
    args.logits = scores;
    args.logits_row_len = static_cast<int32_t>(row_len);
    SEER_RETURN_IF_ERROR(
        SelectBlocks(device_->backend(), args, device_->stream()));
    return ToMask(bits, counts, visible);
  };
  for (size_t d = 0; d < options_.densities.size(); ++d) {
    args.rules = batch.RuleAt(options_.densities[d]);
    SEER_ASSIGN_OR_RETURN(const at::Tensor selected,
                          select(range.logits, range.logits_row_len));
    SEER_ASSIGN_OR_RETURN(const at::Tensor oracle,
                          select(range.target, range.row_len));
    const at::Tensor sums = totals_->sums.select(0, static_cast<int64_t>(d));
    const auto add = [&sums](Sum sum, const at::Tensor& by_tile) {
      sums.select(0, sum).add_(by_tile.sum(-1).to(at::kDouble).sum(0));
    };
    const at::Tensor none = at::zeros({}, mass.options());
    add(kMass, at::where(selected, mass, none));
    add(kOracleMass, at::where(oracle, mass, none));
    add(kSelected, selected);
    add(kOracleSelected, oracle);
    add(kBoth, selected.logical_and(oracle));
  }
  num_tiles_ += num_tiles;
  num_visible_ += num_tiles * (range.first_tile + range.last_tile + 1) / 2;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DensityRecall>> RecallMetrics::Result() const {
  if (num_tiles_ == 0) {
    return absl::FailedPreconditionError("recall: no tile was added");
  }
  return CatchingExceptions(
      "measuring recall", [&]() -> absl::StatusOr<std::vector<DensityRecall>> {
        const c10::InferenceMode inference;
        const at::Tensor host = totals_->sums.cpu();
        const double* const all = host.const_data_ptr<double>();
        const double num_rows =
            static_cast<double>(num_tiles_) * num_query_heads_;
        std::vector<DensityRecall> results;
        for (size_t d = 0; d < options_.densities.size(); ++d) {
          double totals[kNumSums] = {};
          DensityRecall result;
          for (int sum = 0; sum < kNumSums; ++sum) {
            for (int32_t head = 0; head < num_query_heads_; ++head) {
              const double value =
                  all[(d * kNumSums + sum) * num_query_heads_ + head];
              totals[sum] += value;
              if (sum == kMass) {
                result.head_mass_recall.push_back(
                    value / static_cast<double>(num_tiles_));
              }
            }
          }
          result.density = options_.densities[d];
          result.realized_density =
              totals[kSelected] /
              (static_cast<double>(num_visible_) * num_query_heads_);
          result.mass_recall = totals[kMass] / num_rows;
          result.oracle_mass_recall = totals[kOracleMass] / num_rows;
          result.block_recall = totals[kBoth] / totals[kOracleSelected];
          results.push_back(result);
        }
        return results;
      });
}

}  // namespace seer
