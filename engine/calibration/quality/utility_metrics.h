// What reading blocks is worth to each head's output. No torch.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_UTILITY_METRICS_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_UTILITY_METRICS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/quality/uniform_budgets.h"
#include "engine/device/device.h"
#include "kernels/block_sets.h"

namespace seer {

// Adds to sums[h], double [Hq] of the device's memory, the squared error that
// head h brings to the residual stream when a range's tiles read `sets` alone:
// what the model knows (its LayerPass), and calibration asks for.
using OutputErrors =
    std::function<absl::Status(const BlockSets& sets, double* sums)>;

struct UtilityRange {
  PromptTiles tiles;
  // The gate's, on the device: fp32 [tiles, Hq, row_len], of (tile, head,
  // block j) for j <= tile.
  const float* logits = nullptr;
  int64_t row_len = 0;  // >= last_tile
  OutputErrors errors;  // of these tiles
};

// Sums over the rows of all ranges. With e_h(d) head h's squared error when the
// gate selects at density d, and e_h(0) that of reading nothing, a head's
// utility is e_h(0) - e_h(d). It grows with what the head writes; where a few
// wrong blocks are worse than none it is negative. Sums that rounding left
// below 0 are read as 0.
struct HeadUtilities {
  // [densities]: selected / visible blocks, more than asked for where forced
  // blocks alone are more. Of lengths and budgets alone, so alike in all heads.
  std::vector<double> realized_densities;
  std::vector<double> utility;  // [Hq, densities]
  std::vector<double> full;     // [Hq]: e_h(0), the utility of density 1
};

// Of one layer, over any number of prompts. On the thread of the device.
class UtilityMetrics {
 public:
  // INVALID_ARGUMENT: a budget out of range, or no heads. The device outlives
  // it.
  static absl::StatusOr<std::unique_ptr<UtilityMetrics>> Create(
      const UniformBudgets& budgets, int32_t num_query_heads,
      const Device* device);
  ~UtilityMetrics();

  // Asks for the errors of reading nothing, and of each density. Waits for
  // nothing on the device but what these do. INVALID_ARGUMENT: shapes disagree.
  // RESOURCE_EXHAUSTED: no memory. What range.errors answers: a range of which
  // parts may count, so that the sums are of no more use.
  absl::Status AddRange(const UtilityRange& range);

  // Waits for the device. FAILED_PRECONDITION: no tile was added.
  absl::StatusOr<HeadUtilities> Result() const;

 private:
  struct Totals;

  UtilityMetrics(const UniformBudgets& budgets, int32_t num_query_heads,
                 const Device* device);

  absl::Status Measure(const UtilityRange& range);

  const UniformBudgets budgets_;
  const int32_t num_query_heads_;
  const Device* const device_;
  int64_t num_visible_ = 0;  // blocks, of one head
  std::unique_ptr<Totals> totals_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_UTILITY_METRICS_H_
