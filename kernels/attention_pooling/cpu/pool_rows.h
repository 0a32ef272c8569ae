// The targets of one (tile, query head), from what each block's scores came to
// in each row and the rows' sums over all.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CPU_POOL_ROWS_H_
#define SEER_KERNELS_ATTENTION_POOLING_CPU_POOL_ROWS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/attention/cpu/panel.h"

namespace seer {

struct PooledRow {
  absl::Span<const BlockScores> blocks;  // >= 1
  float score_unit = 1.0f;               // ScoreUnitOf
  const float* sums = nullptr;  // [kPanelRows]; relative to the last reference
  int32_t num_rows = 0;
  float* max_target = nullptr;   // out [blocks.size()], or null
  float* mass_target = nullptr;  // out [blocks.size()], or null
};

// With the machine's widest vectors.
void PoolRows(const PooledRow& row);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CPU_POOL_ROWS_H_
