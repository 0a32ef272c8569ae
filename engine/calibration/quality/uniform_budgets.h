// What a gate's selection is measured at. No torch.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_UNIFORM_BUDGETS_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_UNIFORM_BUDGETS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/ragged_batch.h"

namespace seer {

// Row budgets at each density, the same for every head, under these forced
// blocks.
struct UniformBudgets {
  std::vector<double> densities = {0.5, 0.2, 0.1};  // each in (0, 1]
  int32_t sink_blocks = 1;                          // 0..16
  int32_t dense_last_blocks = 2;                    // >= 0

  // INVALID_ARGUMENT: one is out of range.
  absl::Status Validate() const {
    if (sink_blocks < 0 || sink_blocks > 16 || dense_last_blocks < 0) {
      return absl::InvalidArgumentError(
          "budgets: sink_blocks or dense_last_blocks out of range");
    }
    for (const double density : densities) {
      if (!(density > 0.0 && density <= 1.0)) {
        return absl::InvalidArgumentError(
            absl::StrCat("budgets: density ", density, ": outside (0, 1]"));
      }
    }
    return absl::OkStatus();
  }
};

// The tiles [first_tile, last_tile) of a prompt.
struct PromptTiles {
  int64_t prompt_len = 0;  // tokens
  int64_t first_tile = 0;
  int64_t last_tile = 0;

  bool IsValid() const {
    return first_tile >= 0 && first_tile < last_tile &&
           last_tile <= NumBlocks(prompt_len);
  }
  int64_t num_tiles() const { return last_tile - first_tile; }
  // Blocks that the tiles see, of one head.
  int64_t num_visible() const {
    return num_tiles() * (first_tile + last_tile + 1) / 2;
  }
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_UNIFORM_BUDGETS_H_
