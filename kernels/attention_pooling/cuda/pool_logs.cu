#include "kernels/attention_pooling/cuda/pool_logs.h"
#include "kernels/cuda/arithmetic.cuh"
#include "kernels/cuda/warp_reduce.cuh"

namespace seer {
namespace cuda {
namespace {

constexpr int kWarps = 8;
// Blocks that a warp loads at a time, to have enough bytes on their way.
constexpr int kBlocksInFlight = 4;

// Of a row: its largest score, and what 2^(score - that) is to be multiplied by
// to be a probability; 0 where the tile has no such row.
struct RowScale {
  float max;
  float factor;
};

// Of rows `row` and `row` + 8, which are those of each lane l of any warp:
// 16 (l / 8) + l % 8. `logs` are the lane's of the tile's parts.
__device__ __forceinline__ void FindScales(const PromptPart& part,
                                           const float4* logs, int row,
                                           RowScale (&scales)[2]) {
  const int num_parts =
      (part.visible_blocks + part.num_ranks - 1) / part.num_ranks;
  constexpr int kStride = RowLogs::kFloats / 4;
  float2 max = make_float2(-INFINITY, -INFINITY);
  for (int p = 0; p < num_parts; ++p) {
    max.x = fmaxf(max.x, logs[p * kStride].x);
    max.y = fmaxf(max.y, logs[p * kStride].y);
  }
  float2 sum = make_float2(0.0f, 0.0f);
  for (int p = 0; p < num_parts; ++p) {
    const float4 log = logs[p * kStride];
    sum.x += log.z * Exp2(log.x - max.x);
    sum.y += log.w * Exp2(log.y - max.y);
  }
  scales[0] = {max.x, row < part.num_rows ? 1.0f / sum.x : 0.0f};
  scales[1] = {max.y, row + 8 < part.num_rows ? 1.0f / sum.y : 0.0f};
}

// Takes in a row that has this largest score in a block, and the log of its
// sum.
__device__ __forceinline__ void AddRow(const RowScale& scale, float max,
                                       float log2_sum, float* top,
                                       float* mass) {
  if (scale.factor == 0.0f) return;
  const float log = max - scale.max;
  *top = fmaxf(*top, Exp2(log) * scale.factor);
  *mass += Exp2(log + log2_sum) * scale.factor;
}

// One (tile, query head) a thread block: a warp pools a block at a time.
__global__ void __launch_bounds__(kWarps* kWarpLanes)
    PoolLogsKernel(const __grid_constant__ PoolLogsParams params) {
  const PromptPart part = params.parts[blockIdx.x];
  if (part.first_rank != 0) return;  // the tile's first part stands for it
  __shared__ float warp_sums[kWarps];
  const int head = blockIdx.y;
  const int warp = threadIdx.x / kWarpLanes;
  const int lane = threadIdx.x % kWarpLanes;
  const int num_blocks = part.visible_blocks;
  RowScale scales[2];
  FindScales(
      part,
      reinterpret_cast<const float4*>(params.logs.Part(part.tile, head, 0)) +
          lane,
      lane / 8 * 16 + lane % 8, scales);
  const int64_t target =
      (int64_t{part.tile} * params.logs.num_query_heads + head) *
      params.logs.row_len;

  float max_sum = 0.0f;  // of the warp's blocks
  for (int first = warp; first < num_blocks;
       first += kWarps * kBlocksInFlight) {
    float4 logs[kBlocksInFlight];
#pragma unroll
    for (int i = 0; i < kBlocksInFlight; ++i) {
      const int block = min(first + i * kWarps, num_blocks - 1);
      logs[i] = __ldcs(reinterpret_cast<const float4*>(
                           params.logs.Block(part.tile, head, block)) +
                       lane);
    }
#pragma unroll
    for (int i = 0; i < kBlocksInFlight; ++i) {
      const int block = first + i * kWarps;
      if (block >= num_blocks) break;
      float top = 0.0f;
      float mass = 0.0f;
      AddRow(scales[0], logs[i].x, logs[i].z, &top, &mass);
      AddRow(scales[1], logs[i].y, logs[i].w, &top, &mass);
      top = WarpMax(top);
      mass = WarpSum(mass);
      max_sum += top;
      if (lane != 0) continue;
      if (params.max_target) params.max_target[target + block] = top;
      if (params.mass_target) {
        params.mass_target[target + block] = mass / part.num_rows;
      }
    }
  }
  if (params.max_target == nullptr) return;
  if (lane == 0) warp_sums[warp] = max_sum;
  __syncthreads();
  float total = 0.0f;
  for (int w = 0; w < kWarps; ++w) total += warp_sums[w];
  for (int j = threadIdx.x; j < num_blocks; j += kWarps * kWarpLanes) {
    params.max_target[target + j] /= total;
  }
}

}  // namespace

cudaError_t LaunchPoolLogs(const PoolLogsParams& params, cudaStream_t stream) {
  const dim3 grid(params.num_parts, params.logs.num_query_heads);
  PoolLogsKernel<<<grid, kWarps * kWarpLanes, 0, stream>>>(params);
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
