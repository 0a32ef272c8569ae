// Walks the pages of a set of key blocks.
#ifndef SEER_KERNELS_ATTENTION_CUDA_BLOCK_WALK_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_BLOCK_WALK_CUH_

#include <cstdint>

#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {

// The blocks that some rows read.
struct BlockList {
  const int32_t* page_table;
  const uint32_t* bits;  // bit j = block j; null: every visible one
  int32_t visible_blocks;
  int32_t first_rank;  // of those wanted, from the highest block down
  int32_t num_blocks;  // wanted; the set has that many from first_rank on
};

// Calls visit(page) for each block of the list, the highest first, in all
// lanes of a warp. The lanes load bits and pages together: a window is 32
// blocks.
template <class Visit>
__device__ __forceinline__ void ForEachPage(const BlockList& list, int lane,
                                            const Visit& visit) {
  const int32_t last = list.visible_blocks - 1;
  // Blocks to come, among them first_rank to pass over.
  int32_t left = list.first_rank + list.num_blocks;
  // 32 windows at a time: lane l holds the bits of window top - l.
  for (int32_t top = last / 32; top >= 0 && left > 0; top -= 32) {
    uint32_t bits = 0;
    if (top >= lane) bits = list.bits ? list.bits[top - lane] : ~0u;
    if (top - lane == last / 32) bits &= ~0u >> (31 - last % 32);
    unsigned windows = __ballot_sync(kAllLanes, bits != 0);
    while (windows != 0 && left > 0) {
      const int window = __ffs(windows) - 1;
      windows &= windows - 1;
      uint32_t mask = __shfl_sync(kAllLanes, bits, window);
      int32_t page = 0;
      if (mask >> lane & 1) {
        page = list.page_table[(top - window) * 32 + lane];
      }
      for (; mask != 0 && left > 0; --left) {
        const int block = 31 - __clz(mask);
        mask ^= 1u << block;
        const int32_t next = __shfl_sync(kAllLanes, page, block);
        if (left <= list.num_blocks) visit(next);
      }
    }
  }
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_BLOCK_WALK_CUH_
