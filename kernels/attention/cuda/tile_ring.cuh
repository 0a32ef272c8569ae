// The shared memory through which a producer warp hands one warpgroup its
// tiles of queries, keys and values: a ring of slots of one tile each.
#ifndef SEER_KERNELS_ATTENTION_CUDA_TILE_RING_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_TILE_RING_CUH_

#include <cutlass/arch/barrier.h>
#include <cutlass/numeric_types.h>

#include <cstdint>
#include <cute/arch/cluster_sm90.hpp>
#include <cute/arch/copy_sm90_desc.hpp>
#include <cute/tensor.hpp>

#include "kernels/attention/attention_plan.h"
#include "kernels/attention/cuda/block_walk.cuh"
#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

using Element = cutlass::bfloat16_t;

// The copy engine writes a tile as boxes of 64 channels, one after the other:
// rows of 128 bytes, whose 16-byte piece i is in place i ^ (row % 8).
constexpr int kBoxChannels = 64;
constexpr uint32_t kBoxBytes = kBlockSize * kBoxChannels * sizeof(Element);

// The rows that a warpgroup attends next: one query head's of a part. Comes
// with the tile of queries.
struct RowWork {
  PromptPart part;       // num_rows 0: there is no more work
  int32_t head;          // query head
  int32_t set_blocks;    // of the head's set
  int32_t num_blocks;    // of the part, which come as keys and values in turn
  int32_t first_masked;  // whether the first block is the tile's own

  __device__ __forceinline__ int32_t NumParts() const {
    return (set_blocks + part.num_ranks - 1) / part.num_ranks;
  }
};

// The thread's number in its warpgroup. Read anew where it is wanted: it is
// not worth a register meanwhile.
__device__ __forceinline__ uint32_t WarpgroupThread() {
  uint32_t thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread % 128;
}

// Synchronizes the calling warpgroup, which is not the block's first.
__device__ __forceinline__ void WarpgroupBarrier() {
  uint32_t thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  asm volatile("bar.sync %0, 128;" ::"r"(thread / 128) : "memory");
}

// By a warp: each lane a word.
__device__ __forceinline__ void CopyWork(const RowWork& from, RowWork* to,
                                         uint32_t lane) {
  if (lane < sizeof(RowWork) / 4) {
    reinterpret_cast<int32_t*>(to)[lane] =
        reinterpret_cast<const int32_t*>(&from)[lane];
  }
}

template <int kHeadDim_>
struct TileRing {
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kSlots = kHeadDim == 128 ? 4 : 5;
  static constexpr int kTileElements = kBlockSize * kHeadDim;
  static constexpr uint32_t kTileBytes = kTileElements * sizeof(Element);
  // A warp's share of the staging of results: 16 rows of 64 channels.
  static constexpr int kStagingBytes = 16 * 64 * sizeof(Element);

  alignas(1024) Element tiles[kSlots][kTileElements];
  alignas(1024) uint8_t staging[4][kStagingBytes];
  RowWork work[kSlots];  // of the slots that hold queries
  RowWork rows[4][2];    // each warp's copies: of the current and next work
  uint64_t full[kSlots];
  uint64_t empty[kSlots];
  int32_t flag;  // the warpgroup's
  // The producer's: the rows that it fetches, and their blocks.
  RowWork next;
  BlockList list;

  // Tiles as matrix operands, in boxes.
  using KeyLayout = decltype(cute::tile_to_shape(
      cute::GMMA::Layout_K_SW128_Atom<Element>{},
      cute::Shape<cute::Int<kBlockSize>, cute::Int<kHeadDim>,
                  cute::Int<kSlots>>{}));
  using ValueLayout = decltype(cute::tile_to_shape(
      cute::GMMA::Layout_MN_SW128_Atom<Element>{},
      cute::Shape<cute::Int<kHeadDim>, cute::Int<kBlockSize>,
                  cute::Int<kSlots>>{},
      cute::Step<cute::_2, cute::_1, cute::_3>{}));

  // By one thread, before any other use.
  __device__ void Initialize() {
    for (int s = 0; s < kSlots; ++s) {
      cute::initialize_barrier(full[s], 1);
      cute::initialize_barrier(empty[s], 4);
    }
  }

  // Tiles are numbered from 0 in the order they pass; tile i is in slot
  // i % kSlots.

  // The producer: until tile i may be written.
  __device__ __forceinline__ void WaitEmpty(uint32_t i) {
    cute::wait_barrier(empty[i % kSlots], (i / kSlots + 1) & 1);
  }
  // The warpgroup: until tile i is there.
  __device__ __forceinline__ void WaitFull(uint32_t i) {
    cute::wait_barrier(full[i % kSlots], (i / kSlots) & 1);
  }
  // The warp's copy 0 or 1 of work.
  __device__ __forceinline__ RowWork& Rows(int copy) {
    return rows[WarpgroupThread() / 32][copy];
  }
  // Each warp of the warpgroup, when all its lanes have read tile i.
  __device__ __forceinline__ void Release(uint32_t i) {
    if (WarpgroupThread() % 32 == 0) cute::arrive_barrier(empty[i % kSlots]);
  }
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_TILE_RING_CUH_
