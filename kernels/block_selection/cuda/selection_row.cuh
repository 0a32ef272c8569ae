// One (tile, query head), as the warp sees it that chooses its blocks.
#ifndef SEER_KERNELS_BLOCK_SELECTION_CUDA_SELECTION_ROW_CUH_
#define SEER_KERNELS_BLOCK_SELECTION_CUDA_SELECTION_ROW_CUH_

#include <cstdint>

#include "kernels/block_selection/selection_rule.h"
#include "kernels/block_selection/set_size.h"
#include "kernels/cuda/warp_reduce.cuh"

namespace seer {
namespace cuda {

// Lane l's slot s is block 32 s + l, so a vote of the lanes on slot s is the
// half word s of the row's bitmap.
struct SelectionRow {
  SelectionRule rule;
  const float* logits = nullptr;   // [num_visible]
  uint32_t* half_words = nullptr;  // [num_half_words], the bitmap
  int32_t num_half_words = 0;      // those past the visible blocks included
  int32_t num_visible = 0;
  int32_t lane = 0;

  __device__ int32_t num_slots() const {
    return (num_visible + kWarpLanes - 1) / kWarpLanes;
  }
  __device__ int32_t BlockOf(int32_t slot) const {
    return slot * kWarpLanes + lane;
  }
  // Whether block j, visible or not, is a visible one that the rule forces.
  __device__ bool IsVisibleAndForced(int32_t j) const {
    return j < num_visible && IsForced(rule, num_visible - 1, j);
  }
};

// A value of every visible block, load(j), spread over the lanes: kept in
// kSlots registers or, kSlots being 0, loaded again for each pass, for rows of
// any length. load(j) takes any j, past the visible blocks too, and gives what
// is never chosen there.
template <int kSlots, class Load>
class LaneValues {
 public:
  __device__ __forceinline__ LaneValues(const SelectionRow& row,
                                        const Load& load)
      : row_(row), load_(load) {
    if constexpr (kSlots > 0) {
#pragma unroll
      for (int slot = 0; slot < kSlots; ++slot) {
        if (EndsBefore(slot)) break;
        values_[slot] = load(row.BlockOf(slot));
      }
    }
  }

  // fn(slot, value), slots ascending: all of the row's, and maybe a few past
  // it. Lanes stay together.
  template <class Fn>
  __device__ __forceinline__ void ForEach(const Fn& fn) const {
    if constexpr (kSlots > 0) {
#pragma unroll
      for (int slot = 0; slot < kSlots; ++slot) {
        if (EndsBefore(slot)) break;
        fn(slot, values_[slot]);
      }
    } else {
      for (int slot = 0; slot < row_.num_slots(); ++slot) {
        fn(slot, load_(row_.BlockOf(slot)));
      }
    }
  }

 private:
  using Value = decltype(std::declval<Load>()(0));

  // Asked of every few slots only, so that there are few branches.
  __device__ __forceinline__ bool EndsBefore(int slot) const {
    constexpr int kStride = 4;
    return slot % kStride == 0 && slot >= row_.num_slots();
  }

  const SelectionRow& row_;
  const Load& load_;
  Value values_[kSlots > 0 ? kSlots : 1];
};

// Writes the row's whole bitmap: of slot s the blocks that vote(s, value), a
// vote of all lanes, gives, and the forced ones. Returns their number.
template <class Values, class Vote>
__device__ __forceinline__ int32_t WriteSet(const SelectionRow& row,
                                            const Values& values,
                                            const Vote& vote) {
  const int32_t last_slot = (row.num_visible - 1) / kWarpLanes;
  int32_t begin = 0;  // half words before it are written
  uint32_t own = 0;   // the lane's, half word begin + lane
  int32_t count = 0;
  values.ForEach([&](int slot, auto value) {
    uint32_t taken = vote(slot, value);
    if (slot == 0 || slot == last_slot) {  // where forced blocks are
      taken |=
          __ballot_sync(kAllLanes, row.IsVisibleAndForced(row.BlockOf(slot)));
    }
    count += __popc(taken);
    if (slot % kWarpLanes == row.lane) own = taken;
    if (slot % kWarpLanes == kWarpLanes - 1) {
      if (begin + row.lane < row.num_half_words) {
        row.half_words[begin + row.lane] = own;
      }
      begin += kWarpLanes;
      own = 0;
    }
  });
  for (int32_t i = begin + row.lane; i < row.num_half_words; i += kWarpLanes) {
    row.half_words[i] = own;
    own = 0;
  }
  return count;
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_CUDA_SELECTION_ROW_CUH_
