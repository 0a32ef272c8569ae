#include "kernels/block_selection/cuda/select_rows.h"
#include "kernels/block_selection/cuda/selection_row.cuh"
#include "kernels/block_selection/set_size.h"
#include "kernels/cuda/radix_select.cuh"
#include "kernels/cuda/warp_reduce.cuh"

namespace seer {
namespace cuda {
namespace {

// Of one thread block: query heads of one tile.
constexpr int kWarps = 4;

// The row's `count` < num_visible blocks: forced first, then by logit, then by
// index.
template <int kSlots>
__device__ __forceinline__ void SelectByCount(const SelectionRow& row,
                                              int32_t count) {
  const auto load = [&row](int32_t j) {
    return j >= row.num_visible || row.IsVisibleAndForced(j)
               ? kNoKey
               : OrderedKey(row.logits[j]);
  };
  const LaneValues<kSlots, decltype(load)> keys(row, load);
  const int32_t num_forced = static_cast<int32_t>(
      ForcedBlocks(BudgetShape(row.rule), row.num_visible - 1));
  KeyCut<uint32_t> cut = {~kNoKey, 0};  // takes none
  if (count > num_forced) {
    cut = FindCut<uint32_t>(count - num_forced, [&](uint32_t key) {
      uint32_t num_keys = 0;
      keys.ForEach(
          [&](int, uint32_t value) { AddIfAtLeast(value, key, num_keys); });
      return static_cast<int32_t>(__reduce_add_sync(kAllLanes, num_keys));
    });
  }
  const uint32_t lanes_before = (1u << row.lane) - 1;
  WriteSet(row, keys, [&](int, uint32_t key) {
    uint32_t taken = __ballot_sync(kAllLanes, key > cut.floor);
    if (cut.num_ties > 0) {
      const bool is_tie = key == cut.floor;
      const uint32_t ties = __ballot_sync(kAllLanes, is_tie);
      taken |= __ballot_sync(
          kAllLanes, is_tie && __popc(ties & lanes_before) < cut.num_ties);
      cut.num_ties -= __popc(ties);
    }
    return taken;
  });
}

// The blocks whose probability, GateSoftmax's but summed in another order, is
// above the threshold, and the forced ones. Returns their number.
template <int kSlots>
__device__ __forceinline__ int32_t SelectByThreshold(const SelectionRow& row) {
  float max = -INFINITY;
  for (int32_t j = row.lane; j < row.num_visible; j += kWarpLanes) {
    max = fmaxf(max, row.logits[j]);
  }
  max = WarpMax(max);
  const auto load = [&row, max](int32_t j) {
    if (j >= row.num_visible) return 0.0f;
    const float logit = row.logits[j];
    return logit == max ? 1.0f : isnan(logit) ? 0.0f : expf(logit - max);
  };
  const LaneValues<kSlots, decltype(load)> weights(row, load);
  float sum = 0.0f;
  weights.ForEach([&](int, float weight) { sum += weight; });
  sum = WarpSum(sum);
  return WriteSet(row, weights, [&](int, float weight) {
    return __ballot_sync(kAllLanes, weight / sum > row.rule.threshold);
  });
}

// Writes the set of the row, whose blocks are in `row`. Returns its size.
template <int kSlots>
__device__ __forceinline__ int32_t SelectRow(const SelectionRow& row,
                                             int32_t head) {
  const int32_t block = row.num_visible - 1;
  if (IsByThreshold(row.rule, block)) return SelectByThreshold<kSlots>(row);
  const int32_t count = static_cast<int32_t>(SetSize(row.rule, block, head));
  if (count < row.num_visible) SelectByCount<kSlots>(row, count);
  return count;
}

// Warps of a thread block: query heads [kWarps * g, kWarps * (g + 1)) of a
// tile. The last tiles, whose rows are longest, are begun first.
template <int kSlots>
__global__ void __launch_bounds__(kWarps* kWarpLanes)
    SelectRowsKernel(const __grid_constant__ SelectRowsParams p) {
  __shared__ int32_t counts[kWarps];
  const int warp = threadIdx.x / kWarpLanes;
  const int num_groups = (p.num_query_heads + kWarps - 1) / kWarps;
  const int32_t tile_index =
      p.batch.num_prompt_tiles - 1 - blockIdx.x / num_groups;
  const int32_t head = blockIdx.x % num_groups * kWarps + warp;
  const int32_t sequence = p.batch.tiles[tile_index].sequence;

  SelectionRow row;
  row.lane = threadIdx.x % kWarpLanes;
  int32_t count = 0;
  if (head < p.num_query_heads) {
    const int64_t row_index = p.sets.Row(tile_index, head);
    row.rule = p.rules[sequence];
    row.logits = p.logits + row_index * p.logits_row_len;
    row.half_words = reinterpret_cast<uint32_t*>(p.sets.Bits(tile_index, head));
    row.num_half_words = 2 * p.sets.num_words;
    row.num_visible = VisibleBlocks(p.batch.tiles[tile_index]);
    count = SelectRow<kSlots>(row, head);
    if (row.lane == 0) p.sets.counts[row_index] = count;
  }
  if (p.num_selected == nullptr) return;
  if (row.lane == 0) counts[warp] = count;
  __syncthreads();
  if (threadIdx.x == 0) {
    int64_t sum = 0;
    for (const int32_t c : counts) sum += c;
    atomicAdd(reinterpret_cast<unsigned long long*>(p.num_selected + sequence),
              static_cast<unsigned long long>(sum));
  }
}

template <int kSlots>
cudaError_t Launch(const SelectRowsParams& params, cudaStream_t stream) {
  const int num_groups = (params.num_query_heads + kWarps - 1) / kWarps;
  SelectRowsKernel<kSlots><<<params.batch.num_prompt_tiles * num_groups,
                             kWarps * kWarpLanes, 0, stream>>>(params);
  return cudaGetLastError();
}

}  // namespace

cudaError_t LaunchSelectRows(const SelectRowsParams& params,
                             cudaStream_t stream) {
  // Of no batch more than its rows need: registers limit the warps at work.
  const int32_t row_len = params.logits_row_len;
  if (row_len <= 4 * kWarpLanes) return Launch<4>(params, stream);
  if (row_len <= 16 * kWarpLanes) return Launch<16>(params, stream);
  if (row_len <= 64 * kWarpLanes) return Launch<64>(params, stream);
  return Launch<0>(params, stream);
}

}  // namespace cuda
}  // namespace seer
