#include "kernels/attention_pooling/cuda/recall.h"
#include "kernels/cuda/warp_reduce.cuh"

namespace seer {
namespace cuda {
namespace {

constexpr int kWarps = 4;

// A (tile, query head) a warp, a block of each word a lane.
__global__ void __launch_bounds__(kWarps* kWarpLanes)
    RecallKernel(const __grid_constant__ RecallParams p) {
  const int lane = threadIdx.x % kWarpLanes;
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarpLanes;
  if (row >= int64_t{p.num_tiles} * p.num_query_heads) return;
  const int visible = p.tiles[row / p.num_query_heads].block + 1;
  const bool all = p.counts[row] == visible;
  float sum = 0.0f;
  for (int word = 0; word * kWarpLanes < visible; ++word) {
    const int block = word * kWarpLanes + lane;
    const uint32_t bits =
        all ? kAllLanes : p.bits[row * p.num_half_words + word];
    if (block < visible && (bits >> lane & 1)) {
      sum += p.mass[row * p.row_len + block];
    }
  }
  sum = WarpSum(sum);
  if (lane == 0) p.recall[row] = sum;
}

}  // namespace

cudaError_t LaunchRecall(const RecallParams& params, cudaStream_t stream) {
  const int64_t rows = int64_t{params.num_tiles} * params.num_query_heads;
  if (rows == 0) return cudaSuccess;
  RecallKernel<<<static_cast<unsigned>((rows + kWarps - 1) / kWarps),
                 kWarps * kWarpLanes, 0, stream>>>(params);
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
