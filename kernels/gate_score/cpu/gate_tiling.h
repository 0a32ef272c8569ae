// How the gate's work is cut on the CPU.
#ifndef SEER_KERNELS_GATE_SCORE_CPU_GATE_TILING_H_
#define SEER_KERNELS_GATE_SCORE_CPU_GATE_TILING_H_

#include <cstdint>

namespace seer {

// Tiles computed together: one accumulator each hides the latency of a
// multiply-add. A missing tile is computed all the same and dropped, so a
// tile's result never depends on how many stand beside it.
constexpr int64_t kGateTiles = 8;

// Key blocks of a panel: its entries, transposed to [D, kGatePanel], stay in
// the first-level cache while all tiles of a run pass over them.
constexpr int64_t kGatePanel = 16;

// Key blocks of one item of work: enough to be worth handing out, few enough
// to share a long sequence among threads.
constexpr int64_t kGateBlocksOfWork = 64;

// The logits of scored tiles [tile_begin, tile_end), indices into
// GateScoreArgs::tile_indices and all of one sequence, against key blocks
// [block_begin, block_end) of one entry head, for the query heads that share
// it.
struct LogitWork {
  int64_t tile_begin = 0;
  int64_t tile_end = 0;
  int64_t entry_head = 0;
  int64_t block_begin = 0;  // a multiple of kGatePanel
  int64_t block_end = 0;
};

}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CPU_GATE_TILING_H_
