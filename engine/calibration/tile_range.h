// What the engine hands to calibration of one layer and one range of tiles. No
// torch.
#ifndef SEER_ENGINE_CALIBRATION_TILE_RANGE_H_
#define SEER_ENGINE_CALIBRATION_TILE_RANGE_H_

#include <cstdint>

namespace seer {

// The tiles [first_tile, last_tile) of the current sequence; pointers are to
// the device's memory, and their work may still be in its stream. They are
// not used after the call's own work there.
struct TileRange {
  int64_t first_tile = 0;
  int64_t last_tile = 0;
  // Raw pools of the range's queries: fp32 [last - first, Hq, kNumPools, D],
  // as QkPrepareArgs::pooled_queries.
  const float* pooled_queries = nullptr;
  // Raw pools of all key blocks so far, gathered from their pages in order:
  // fp32 [last_tile, Hk, kNumPools, D]. Read: those that no earlier range of
  // the sequence brought.
  const float* pooled_keys = nullptr;
  // What the gate is to predict: fp32 [last - first, Hq, row_len], of
  // (tile, head, block j) for j <= tile; entries past these are not looked at.
  // Each row sums to 1.
  const float* target = nullptr;
  int64_t row_len = 0;  // >= last_tile
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TILE_RANGE_H_
