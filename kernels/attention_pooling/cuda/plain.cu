#include <cuda_bf16.h>

#include "kernels/attention_pooling/cuda/plain.h"
#include "kernels/cuda/arithmetic.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/cuda/warp_reduce.cuh"

namespace seer {
namespace cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kLaneKeys = kBlockSize / kWarpLanes;

// The tile's rows against the keys of one page for one query head.
template <class T>
struct PageScores {
  const PlainPoolParams& p;
  const Tile& tile;
  int head;
  const T* keys;
  bool is_own;  // whether the page holds the tile's own block

  // The scores of keys `lane` and lane + 32; -inf for those that the row does
  // not see.
  __device__ __forceinline__ void OfRow(int row, int lane,
                                        float (&scores)[kLaneKeys]) const {
    const int head_dim = p.attention.kv.head_dim;
    const T* const query =
        static_cast<const T*>(p.attention.queries) +
        (int64_t{tile.row_begin + row} * p.attention.num_query_heads + head) *
            head_dim;
#pragma unroll
    for (int i = 0; i < kLaneKeys; ++i) {
      const int key = lane + i * kWarpLanes;
      scores[i] = -INFINITY;
      if (is_own && key > row) continue;
      float dot = 0.0f;
      for (int d = 0; d < head_dim; ++d) {
        dot += ToFloat(query[d]) * ToFloat(keys[key * head_dim + d]);
      }
      scores[i] = dot * p.attention.scale;
    }
  }
};

template <class T>
__device__ __forceinline__ PageScores<T> ScoresOf(const PlainPoolParams& p,
                                                  const Tile& tile, int head,
                                                  int block) {
  const PagedKv& kv = p.attention.kv;
  const int64_t page =
      p.attention.batch.sequences[tile.sequence].page_table[block];
  const int64_t kv_head =
      head / (p.attention.num_query_heads / kv.num_kv_heads);
  const int64_t offset =
      (page * 2 * kv.num_kv_heads + kv_head) * kBlockSize * kv.head_dim;
  return {p, tile, head, static_cast<const T*>(kv.pages) + offset,
          block == tile.block};
}

// The largest score of the row and the sum of e^(score - that), by a warp.
template <class T>
__device__ void FindScale(const PlainPoolParams& p, const Tile& tile, int head,
                          int row, int lane, float* row_max, float* row_sum) {
  float max = -INFINITY;
  float sum = 0.0f;
  float scores[kLaneKeys];
  for (int block = 0; block <= tile.block; ++block) {
    ScoresOf<T>(p, tile, head, block).OfRow(row, lane, scores);
    const float new_max = fmaxf(max, WarpMax(fmaxf(scores[0], scores[1])));
    sum = sum * expf(max - new_max) +
          WarpSum(expf(scores[0] - new_max) + expf(scores[1] - new_max));
    max = new_max;
  }
  *row_max = max;
  *row_sum = sum;
}

// One (tile, query head) a thread block, a row a warp.
template <class T>
__global__ void __launch_bounds__(kWarps* kWarpLanes)
    PlainPoolKernel(const __grid_constant__ PlainPoolParams p) {
  __shared__ float row_max[kBlockSize], row_sum[kBlockSize];
  __shared__ float warp_top[kWarps], warp_mass[kWarps];
  __shared__ float max_sum;
  const Tile tile = p.attention.batch.tiles[blockIdx.x];
  const int head = blockIdx.y;
  const int warp = threadIdx.x / kWarpLanes;
  const int lane = threadIdx.x % kWarpLanes;
  const int64_t first =
      (int64_t{blockIdx.x} * p.attention.num_query_heads + head) * p.row_len;
  for (int row = warp; row < tile.num_rows; row += kWarps) {
    float max, sum;
    FindScale<T>(p, tile, head, row, lane, &max, &sum);
    if (lane == 0) {
      row_max[row] = max;
      row_sum[row] = sum;
    }
  }
  if (threadIdx.x == 0) max_sum = 0.0f;
  __syncthreads();

  for (int block = 0; block <= tile.block; ++block) {
    const PageScores<T> page = ScoresOf<T>(p, tile, head, block);
    float top = 0.0f;
    float mass = 0.0f;
    for (int row = warp; row < tile.num_rows; row += kWarps) {
      float scores[kLaneKeys];
      page.OfRow(row, lane, scores);
      const float p0 = expf(scores[0] - row_max[row]) / row_sum[row];
      const float p1 = expf(scores[1] - row_max[row]) / row_sum[row];
      top = fmaxf(top, WarpMax(fmaxf(p0, p1)));
      mass += WarpSum(p0 + p1);
    }
    if (lane == 0) {
      warp_top[warp] = top;
      warp_mass[warp] = mass;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int w = 1; w < kWarps; ++w) {
        top = fmaxf(top, warp_top[w]);
        mass += warp_mass[w];
      }
      max_sum += top;
      if (p.max_target != nullptr) p.max_target[first + block] = top;
      if (p.mass_target != nullptr) {
        p.mass_target[first + block] = mass / tile.num_rows;
      }
    }
    __syncthreads();
  }
  if (p.max_target == nullptr) return;
  for (int j = threadIdx.x; j <= tile.block; j += kWarps * kWarpLanes) {
    p.max_target[first + j] /= max_sum;
  }
}

}  // namespace

cudaError_t LaunchPlainPool(const PlainPoolParams& params, DType dtype,
                            cudaStream_t stream) {
  const dim3 grid(params.attention.batch.num_tiles,
                  params.attention.num_query_heads);
  if (dtype == DType::kFloat32) {
    PlainPoolKernel<float><<<grid, kWarps * kWarpLanes, 0, stream>>>(params);
  } else {
    PlainPoolKernel<DeviceBf16>
        <<<grid, kWarps * kWarpLanes, 0, stream>>>(params);
  }
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
