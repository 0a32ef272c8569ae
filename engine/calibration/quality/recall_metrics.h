// How much of what a gate should have selected it does select. No torch.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_RECALL_METRICS_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_RECALL_METRICS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/quality/uniform_budgets.h"
#include "engine/device/device.h"

namespace seer {

// Pointers are to the device's memory, fp32 [tiles, Hq, row length], of (tile,
// head, block j) for j <= tile.
struct RecallRange {
  PromptTiles tiles;
  const float* logits = nullptr;  // the gate's
  int64_t logits_row_len = 0;     // >= last_tile
  const float* target = nullptr;  // by which the oracle selects
  const float* mass = nullptr;    // the true probability in each block
  int64_t row_len = 0;            // of target and mass; >= last_tile
};

// Means are over the tiles of all ranges alike; forced blocks are in all sets.
struct DensityRecall {
  double density = 0.0;  // as in the budgets
  // Selected / visible blocks: more where forced blocks alone are more.
  double realized_density = 0.0;
  // Share of the true probability in the gate's sets, and in the oracle's.
  double mass_recall = 0.0;
  double oracle_mass_recall = 0.0;
  // Share of the blocks of the oracle's sets that are in the gate's.
  double block_recall = 0.0;
};

// Of one layer, over any number of prompts. The oracle is the same selection
// fed with the target instead of logits. On the thread of the device.
class RecallMetrics {
 public:
  // INVALID_ARGUMENT: a budget out of range, or no heads. The device outlives
  // it.
  static absl::StatusOr<std::unique_ptr<RecallMetrics>> Create(
      const UniformBudgets& budgets, int32_t num_query_heads,
      const Device* device);
  ~RecallMetrics();

  // Waits for nothing on the device. INVALID_ARGUMENT: shapes disagree.
  // RESOURCE_EXHAUSTED: no memory.
  absl::Status AddRange(const RecallRange& range);

  // [densities]; waits for the device. FAILED_PRECONDITION: no tile was added.
  absl::StatusOr<std::vector<DensityRecall>> Result() const;

 private:
  struct Totals;

  RecallMetrics(const UniformBudgets& budgets, int32_t num_query_heads,
                const Device* device);

  absl::Status Judge(const RecallRange& range);

  const UniformBudgets budgets_;
  const int32_t num_query_heads_;
  const Device* const device_;
  int64_t num_tiles_ = 0;
  int64_t num_visible_ = 0;  // blocks, of one head
  std::unique_ptr<Totals> totals_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_RECALL_METRICS_H_
