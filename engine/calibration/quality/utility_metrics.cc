#include "engine/calibration/quality/utility_metrics.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/quality/range_selection.h"
#include "engine/model/aten/aten.h"

namespace seer {
namespace {

// A squared error taken by a head's products is one of rounded numbers: where
// the head writes next to nothing it may fall below 0. One that is not a number
// stays that.
double SquaredError(double sum) { return sum < 0.0 ? 0.0 : sum; }

}  // namespace

struct UtilityMetrics::Totals {
  at::Tensor errors;    // double [1 + densities, Hq]; the first: of nothing
  at::Tensor selected;  // int64 [densities]: blocks, of all heads
};

UtilityMetrics::UtilityMetrics(const UniformBudgets& budgets,
                               int32_t num_query_heads, const Device* device)
    : budgets_(budgets), num_query_heads_(num_query_heads), device_(device) {}

UtilityMetrics::~UtilityMetrics() = default;

absl::StatusOr<std::unique_ptr<UtilityMetrics>> UtilityMetrics::Create(
    const UniformBudgets& budgets, int32_t num_query_heads,
    const Device* device) {
  SEER_RETURN_IF_ERROR(budgets.Validate());
  if (num_query_heads < 1) return absl::InvalidArgumentError("utility: heads");
  std::unique_ptr<UtilityMetrics> metrics(
      new UtilityMetrics(budgets, num_query_heads, device));
  SEER_RETURN_IF_ERROR(CatchingExceptions("measuring utility", [&] {
    const c10::InferenceMode inference;
    const int64_t num_densities =
        static_cast<int64_t>(budgets.densities.size());
    const auto on_device = at::TensorOptions().device(AtenDevice(*device));
    metrics->totals_.reset(
        new Totals{at::zeros({1 + num_densities, num_query_heads},
                             on_device.dtype(at::kDouble)),
                   at::zeros({num_densities}, on_device.dtype(at::kLong))});
    return absl::OkStatus();
  }));
  return metrics;
}

absl::Status UtilityMetrics::AddRange(const UtilityRange& range) {
  if (!range.tiles.IsValid() || range.logits == nullptr ||
      range.row_len < range.tiles.last_tile || range.errors == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("utility: tiles ", range.tiles.first_tile, "..",
                     range.tiles.last_tile, " of a prompt of ",
                     range.tiles.prompt_len, " tokens: shapes disagree"));
  }
  return CatchingExceptions("measuring utility", [&] {
    const c10::InferenceMode inference;
    return Measure(range);
  });
}

absl::Status UtilityMetrics::Measure(const UtilityRange& range) {
  RangeSelection selection(budgets_, range.tiles, num_query_heads_, *device_);
  double* sums = totals_->errors.mutable_data_ptr<double>();
  SEER_RETURN_IF_ERROR(range.errors(selection.SelectNothing(), sums));
  for (size_t d = 0; d < budgets_.densities.size(); ++d) {
    SEER_ASSIGN_OR_RETURN(
        const BlockSets sets,
        selection.Select(d, range.logits, range.row_len,
                         totals_->selected.mutable_data_ptr<int64_t>() + d));
    sums += num_query_heads_;
    SEER_RETURN_IF_ERROR(range.errors(sets, sums));
  }
  num_visible_ += range.tiles.num_visible();
  return absl::OkStatus();
}

absl::StatusOr<HeadUtilities> UtilityMetrics::Result() const {
  if (num_visible_ == 0) {
    return absl::FailedPreconditionError("utility: no tile was added");
  }
  return CatchingExceptions(
      "measuring utility", [&]() -> absl::StatusOr<HeadUtilities> {
        const c10::InferenceMode inference;
        const at::Tensor host = totals_->errors.cpu();
        const at::Tensor selected = totals_->selected.cpu();
        const double* const errors = host.const_data_ptr<double>();
        const double num_visible =
            static_cast<double>(num_visible_) * num_query_heads_;
        HeadUtilities result;
        for (size_t d = 0; d < budgets_.densities.size(); ++d) {
          result.realized_densities.push_back(
              static_cast<double>(selected.const_data_ptr<int64_t>()[d]) /
              num_visible);
        }
        for (int32_t head = 0; head < num_query_heads_; ++head) {
          const double of_nothing = SquaredError(errors[head]);
          result.full.push_back(of_nothing);
          for (size_t d = 1; d <= budgets_.densities.size(); ++d) {
            result.utility.push_back(
                of_nothing - SquaredError(errors[d * num_query_heads_ + head]));
          }
        }
        return result;
      });
}

}  // namespace seer
