#include <cuda_bf16.h>

#include "kernels/cuda/rotation.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/qk_prepare/cuda/column.cuh"
#include "kernels/qk_prepare/cuda/narrow.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kThreads = 128;

// The pools of one channel.
struct Pools {
  float max, min, sum, roped_sum;

  __device__ __forceinline__ void Load(const float* pools, int head_dim) {
    max = pools[kPoolMax * head_dim];
    min = pools[kPoolMin * head_dim];
    sum = pools[kPoolSum * head_dim];
    roped_sum = pools[kPoolRopedSum * head_dim];
  }
  __device__ __forceinline__ void Store(float* pools, int head_dim) const {
    pools[kPoolMax * head_dim] = max;
    pools[kPoolMin * head_dim] = min;
    pools[kPoolSum * head_dim] = sum;
    pools[kPoolRopedSum * head_dim] = roped_sum;
  }
  __device__ __forceinline__ void Start(float x, float roped) {
    max = min = sum = x;
    roped_sum = roped;
  }
  __device__ __forceinline__ void Add(float x, float roped) {
    const bool max_stays = x <= max || max != max;
    const bool min_stays = x >= min || min != min;
    max = max_stays ? max : x;
    min = min_stays ? min : x;
    sum = __fadd_rn(sum, x);
    roped_sum = __fadd_rn(roped_sum, roped);
  }
};

// A thread has channels `pair` and `pair` + D / 2 of one column of a tile.
template <class T>
__global__ void __launch_bounds__(kThreads)
    NarrowKernel(const __grid_constant__ PrepareParams p,
                 const int blocks_per_tile) {
  const int tile_index = blockIdx.x / blocks_per_tile;
  const int place = blockIdx.x % blocks_per_tile * kThreads + threadIdx.x;
  const int head_dim = p.kv.head_dim;
  const int half = head_dim / 2;
  const int pair = place % half;
  const Tile tile = p.batch.tiles[tile_index];
  if (tile.num_rows == 0) return;
  const Column<T> column = ColumnOf<T>(p, tile_index, tile, place / half);
  if (column.in == nullptr) return;

  const int64_t angle =
      (int64_t{tile.block} * kBlockSize + tile.offset) * half + pair;
  const bool loads_pools = column.pools != nullptr && !column.starts_pools;
  Pools low_pools = {}, high_pools = {};
  if (loads_pools) {
    low_pools.Load(column.pools + pair, head_dim);
    high_pools.Load(column.pools + pair + half, head_dim);
  }
  for (int r = 0; r < tile.num_rows; ++r) {
    const T* in = column.in + r * column.in_stride + pair;
    T* out = column.out + r * column.out_stride + pair;
    if (!column.rotates) {
      out[0] = in[0];
      out[half] = in[half];
      continue;
    }
    const float cos = p.cos[angle + int64_t{r} * half];
    const float sin = p.sin[angle + int64_t{r} * half];
    const float low = ToFloat(in[0]);
    const float high = ToFloat(in[half]);
    const float roped_low = RoundedTo<T>(RotatedLow(low, high, cos, sin));
    const float roped_high = RoundedTo<T>(RotatedHigh(low, high, cos, sin));
    out[0] = FromFloat<T>(roped_low);
    out[half] = FromFloat<T>(roped_high);
    if (r == 0 && !loads_pools) {
      low_pools.Start(low, roped_low);
      high_pools.Start(high, roped_high);
    } else {
      low_pools.Add(low, roped_low);
      high_pools.Add(high, roped_high);
    }
  }
  if (column.pools != nullptr) {
    low_pools.Store(column.pools + pair, head_dim);
    high_pools.Store(column.pools + pair + half, head_dim);
  }
}

}  // namespace

cudaError_t LaunchNarrow(const PrepareParams& params, DType dtype,
                         cudaStream_t stream) {
  const int pairs = NumColumns(params) * (params.kv.head_dim / 2);
  const int blocks_per_tile = (pairs + kThreads - 1) / kThreads;
  const int grid = params.batch.num_tiles * blocks_per_tile;
  if (dtype == DType::kFloat32) {
    NarrowKernel<float><<<grid, kThreads, 0, stream>>>(params, blocks_per_tile);
  } else {
    NarrowKernel<__nv_bfloat16>
        <<<grid, kThreads, 0, stream>>>(params, blocks_per_tile);
  }
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
