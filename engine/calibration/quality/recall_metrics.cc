#include "engine/calibration/quality/recall_metrics.h"

#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/quality/range_selection.h"
#include "engine/model/aten/aten.h"

namespace seer {
namespace {

// What is summed for a density and a head.
enum Sum : int { kMass, kOracleMass, kSelected, kOracleSelected, kBoth };
constexpr int kNumSums = 5;

absl::Status CheckRange(const RecallRange& range) {
  const PromptTiles& tiles = range.tiles;
  if (!tiles.IsValid() || range.logits_row_len < tiles.last_tile ||
      range.row_len < tiles.last_tile || range.logits == nullptr ||
      range.target == nullptr || range.mass == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "recall: tiles ", tiles.first_tile, "..", tiles.last_tile,
        " of a prompt of ", tiles.prompt_len, " tokens: shapes disagree"));
  }
  return absl::OkStatus();
}

}  // namespace

struct RecallMetrics::Totals {
  at::Tensor sums;  // double [densities, kNumSums, Hq]
};

RecallMetrics::RecallMetrics(const UniformBudgets& budgets,
                             int32_t num_query_heads, const Device* device)
    : budgets_(budgets), num_query_heads_(num_query_heads), device_(device) {}

RecallMetrics::~RecallMetrics() = default;

absl::StatusOr<std::unique_ptr<RecallMetrics>> RecallMetrics::Create(
    const UniformBudgets& budgets, int32_t num_query_heads,
    const Device* device) {
  SEER_RETURN_IF_ERROR(budgets.Validate());
  if (num_query_heads < 1) return absl::InvalidArgumentError("recall: heads");
  std::unique_ptr<RecallMetrics> metrics(
      new RecallMetrics(budgets, num_query_heads, device));
  SEER_RETURN_IF_ERROR(CatchingExceptions("measuring recall", [&] {
    const c10::InferenceMode inference;
    metrics->totals_.reset(new Totals{
        at::zeros({static_cast<int64_t>(budgets.densities.size()), kNumSums,
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
  const int64_t num_tiles = range.tiles.num_tiles();
  const at::Tensor mass =
      ViewOf(range.mass, {num_tiles, num_query_heads_, range.row_len},
             at::kFloat, *device_)
          .narrow(-1, 0, range.tiles.last_tile);
  RangeSelection selection(budgets_, range.tiles, num_query_heads_, *device_);
  for (size_t d = 0; d < budgets_.densities.size(); ++d) {
    SEER_RETURN_IF_ERROR(
        selection.Select(d, range.logits, range.logits_row_len).status());
    const at::Tensor selected = selection.Mask();
    SEER_RETURN_IF_ERROR(
        selection.Select(d, range.target, range.row_len).status());
    const at::Tensor oracle = selection.Mask();
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
  num_visible_ += range.tiles.num_visible();
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
        for (size_t d = 0; d < budgets_.densities.size(); ++d) {
          double totals[kNumSums] = {};
          DensityRecall result;
          for (int sum = 0; sum < kNumSums; ++sum) {
            for (int32_t head = 0; head < num_query_heads_; ++head) {
              totals[sum] +=
                  all[(d * kNumSums + sum) * num_query_heads_ + head];
            }
          }
          result.density = budgets_.densities[d];
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
