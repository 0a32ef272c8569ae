// The warp that fetches one warpgroup's work: it takes parts of prompt tiles
// in turn, finds the pages that they read, and has the copy engine bring
// queries, keys and values into the warpgroup's ring, as far ahead as slots
// are free. So the next rows' tiles arrive while the last rows still compute.
#ifndef SEER_KERNELS_ATTENTION_CUDA_PRODUCER_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_PRODUCER_CUH_

#include <cutlass/fast_math.h>

#include <cstddef>
#include <cstdint>
#include <cute/arch/copy_sm90_tma.hpp>

#include "kernels/attention/attention_plan.h"
#include "kernels/attention/cuda/block_walk.cuh"
#include "kernels/attention/cuda/prefill.h"
#include "kernels/attention/cuda/tile_ring.cuh"
#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {

// The order in which (part, query head) are taken. Split tiles come first,
// all heads of one part after the other. The other parts follow segment by
// segment, a segment being all parts for some neighbouring heads, whose keys
// and values stay in the L2 cache meanwhile.
struct WorkOrder {
  uint32_t num_items = 0;
  uint32_t num_split_items = 0;
  uint32_t num_split_parts = 0;
  cutlass::FastDivmod num_heads;      // Hq
  cutlass::FastDivmod segment_items;  // parts not split * segment_heads
  cutlass::FastDivmod segment_heads;
  cutlass::FastDivmod group;  // Hq / Hk

  struct Item {
    int part;
    int head;
  };
  __device__ __forceinline__ Item At(uint32_t index) const {
    Item item;
    if (index < num_split_items) {
      num_heads(item.part, item.head, index);
      return item;
    }
    int segment, in_segment;
    segment_items(segment, in_segment, index - num_split_items);
    segment_heads(item.part, item.head, in_segment);
    item.part += num_split_parts;
    item.head += segment * segment_heads.divisor;
    return item;
  }
};

template <class Ring>
class Producer {
 public:
  // Worker `worker` of `num_workers` in the grid. Run by whole warps.
  __device__ Producer(const PrefillParams& params, const WorkOrder& order,
                      const PrefillMaps& maps, Ring* ring)
      : params_(params), order_(order), maps_(maps), ring_(ring) {}

  __device__ void Run(uint32_t worker, uint32_t num_workers) {
    uint32_t index = worker;
    int32_t head = 0;
    int32_t word = Fetch(index, &head);
    while (index < order_.num_items) {
      // The next item and its part are asked for while this one is fetched.
      const uint32_t claimed =
          Lane() == 0 ? atomicAdd(params_.num_claimed, 1u) : 0;
      const bool any = DescribeRows(word, head);
      if (any) PushQueries();
      index = num_workers + __shfl_sync(kAllLanes, claimed, 0);
      word = Fetch(index, &head);
      if (any) PushPages();
      __syncwarp();
    }
    PushEnd();
  }

 private:
  static constexpr int kPartWords = sizeof(PromptPart) / 4;

  __device__ __forceinline__ static uint32_t Lane() {
    return WarpgroupThread() % 32;
  }

  // The lane's word of an item's part, and the item's head.
  __device__ __forceinline__ int32_t Fetch(uint32_t index,
                                           int32_t* head) const {
    if (index >= order_.num_items) return 0;
    const WorkOrder::Item item = order_.At(index);
    *head = item.head;
    if (Lane() >= kPartWords) return 0;
    return reinterpret_cast<const int32_t*>(params_.parts + item.part)[Lane()];
  }

  // Fills the ring's `next` and `list`. False: there is nothing to attend.
  __device__ __forceinline__ bool DescribeRows(int32_t word, int32_t head) {
    RowWork& next = ring_->next;
    if (Lane() < kPartWords) {
      reinterpret_cast<int32_t*>(&next.part)[Lane()] = word;
    }
    __syncwarp();
    const int32_t visible = next.part.visible_blocks;
    const int32_t first_rank = next.part.first_rank;
    const uint32_t* bits = nullptr;
    int32_t set_blocks = visible;
    bool masked = first_rank == 0;
    if (params_.counts != nullptr) {
      const uint32_t row = next.part.tile * params_.num_query_heads + head;
      set_blocks = params_.counts[row];
      if (set_blocks != visible) {
        bits = params_.bits + size_t{row} * params_.num_half_words;
        masked = masked && (bits[(visible - 1) / 32] >> (visible - 1) % 32 & 1);
      }
    }
    const int32_t num_blocks =
        min(set_blocks - first_rank, next.part.num_ranks);
    if (Lane() == 0) {
      next.head = head;
      next.set_blocks = set_blocks;
      next.num_blocks = num_blocks;
      next.first_masked = masked;
      ring_->list = {next.part.page_table, bits, visible, first_rank,
                     num_blocks};
#pragma unroll 1
      for (int c = 0; c < Ring::kHeadDim; c += kBoxChannels) {
        cute::SM90_TMA_LOAD_3D::PREFETCH::copy(&maps_.queries, c, head,
                                               next.part.row_begin);
      }
    }
    __syncwarp();
    if (set_blocks == 0 && first_rank == 0) StoreEmptyRows();
    return num_blocks > 0;
  }

  // The result of rows that read nothing.
  __device__ __forceinline__ void StoreEmptyRows() {
    const int64_t num_heads = params_.num_query_heads;
    const int64_t first =
        ring_->next.part.row_begin * num_heads + ring_->next.head;
    constexpr uint32_t kPieces = Ring::kHeadDim * sizeof(Element) / 16;
    const uint32_t num_pieces = ring_->next.part.num_rows * kPieces;
#pragma unroll 1
    for (uint32_t i = Lane(); i < num_pieces; i += 32) {
      const int64_t row = first + i / kPieces * num_heads;
      static_cast<uint4*>(params_.out)[row * kPieces + i % kPieces] =
          make_uint4(0, 0, 0, 0);
      if (params_.log_sum_exp != nullptr) {
        params_.log_sum_exp[row] = -INFINITY;
      }
    }
  }

  // The tile of queries of the next rows, and what to do with it.
  __device__ __forceinline__ void PushQueries() {
    const uint32_t slot = next_tile_ % Ring::kSlots;
    ring_->WaitEmpty(next_tile_);
    CopyWork(ring_->next, &ring_->work[slot], Lane());
    __syncwarp();
    if (Lane() == 0) {
      cute::set_barrier_transaction_bytes(ring_->full[slot], Ring::kTileBytes);
#pragma unroll 1
      for (int c = 0; c < Ring::kHeadDim; c += kBoxChannels) {
        cute::SM90_TMA_LOAD_3D::copy(
            &maps_.queries, &ring_->full[slot],
            static_cast<uint64_t>(cute::TMA::CacheHintSm90::EVICT_FIRST),
            ring_->tiles[slot] + c * kBlockSize, c, ring_->next.head,
            ring_->next.part.row_begin);
      }
    }
    ++next_tile_;
  }

  __device__ __forceinline__ void PushEnd() {
    if (Lane() == 0) {
      const uint32_t slot = next_tile_ % Ring::kSlots;
      ring_->WaitEmpty(next_tile_);
      ring_->work[slot].part.num_rows = 0;
      cute::arrive_barrier(ring_->full[slot]);
    }
  }

  __device__ __forceinline__ void PushPages() {
    const int32_t kv_head = order_.group.div(ring_->next.head);
    ForEachPage(ring_->list, Lane(), [&](int32_t page) {
      PushPage(page * 2 * params_.num_kv_heads + kv_head);
    });
  }

  // The keys, then the values of a page, whose keys are the `tile`-th of all
  // pages' (page, keys or values, head).
  __device__ __forceinline__ void PushPage(int32_t tile) {
    if (Lane() == 0) {
#pragma unroll 1
      for (uint32_t i = next_tile_; i != next_tile_ + 2; ++i) {
        const uint32_t slot = i % Ring::kSlots;
        ring_->WaitEmpty(i);
        cute::set_barrier_transaction_bytes(ring_->full[slot],
                                            Ring::kTileBytes);
#pragma unroll 1
        for (int c = 0; c < Ring::kHeadDim; c += kBoxChannels) {
          cute::SM90_TMA_LOAD_2D::copy(
              &maps_.pages, &ring_->full[slot],
              static_cast<uint64_t>(cute::TMA::CacheHintSm90::EVICT_NORMAL),
              ring_->tiles[slot] + c * kBlockSize, c, tile * kBlockSize);
        }
        tile += params_.num_kv_heads;
      }
    }
    next_tile_ += 2;
  }

  const PrefillParams& params_;
  const WorkOrder& order_;
  const PrefillMaps& maps_;
  Ring* const ring_;
  uint32_t next_tile_ = 0;
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_PRODUCER_CUH_
