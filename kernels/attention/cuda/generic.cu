#include <cuda_bf16.h>

#include "kernels/attention/cuda/generic.h"
#include "kernels/cuda/vector.cuh"
#include "kernels/cuda/warp_reduce.cuh"

namespace seer {
namespace cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kLanes = kWarpLanes;
constexpr int kLaneChannels = kMaxHeadDim / kLanes;

__device__ __forceinline__ bool ReadsBlock(const GenericParams& p, int tile,
                                           int head, int block) {
  if (tile >= p.batch.num_prompt_tiles || p.sets.bits == nullptr) return true;
  const int64_t row = int64_t{tile} * p.sets.num_query_heads + head;
  if (p.sets.counts[row] == p.batch.tiles[tile].block + 1) return true;
  return p.sets.bits[row * p.sets.num_words + block / 64] >> (block % 64) & 1;
}

// The running attention of one row. Lane l has the outputs of channels
// l + 32 i; `query` and `weights` are the warp's, in shared memory.
struct RowState {
  float max = -INFINITY;
  float sum = 0.0f;
  float out[kLaneChannels] = {};
};

// Takes in the first `num_keys` keys of a page.
template <class T>
__device__ __forceinline__ void AddPage(const float* query, const T* keys,
                                        const T* values, int num_keys,
                                        int head_dim, float scale, int lane,
                                        float* weights, RowState& state) {
  float scores[kBlockSize / kLanes];
  float max = state.max;
  for (int i = 0; i < kBlockSize / kLanes; ++i) {
    const int key = lane + i * kLanes;
    scores[i] = -INFINITY;
    if (key < num_keys) {
      float dot = 0.0f;
      for (int d = 0; d < head_dim; ++d) {
        dot += query[d] * ToFloat(keys[key * head_dim + d]);
      }
      scores[i] = dot * scale;
    }
    max = fmaxf(max, scores[i]);
  }
  max = WarpMax(max);
  const float rescale = expf(state.max - max);
  float sum = 0.0f;
  for (int i = 0; i < kBlockSize / kLanes; ++i) {
    const float weight = expf(scores[i] - max);
    weights[lane + i * kLanes] = weight;
    sum += weight;
  }
  __syncwarp();
  state.max = max;
  state.sum = state.sum * rescale + WarpSum(sum);
  for (int i = 0; i < kLaneChannels; ++i) {
    const int d = lane + i * kLanes;
    if (d >= head_dim) break;
    float out = state.out[i] * rescale;
    for (int key = 0; key < num_keys; ++key) {
      out += weights[key] * ToFloat(values[key * head_dim + d]);
    }
    state.out[i] = out;
  }
  __syncwarp();
}

// Warps of a thread block: (tile, kWarps of its rows), query head.
template <class T>
__global__ void __launch_bounds__(kWarps* kLanes)
    GenericKernel(const __grid_constant__ GenericParams p) {
  __shared__ float queries[kWarps][kMaxHeadDim];
  __shared__ float weights[kWarps][kBlockSize];
  constexpr int kRowGroups = kBlockSize / kWarps;
  const int tile_index = blockIdx.x / kRowGroups;
  const int head = blockIdx.y;
  const int warp = threadIdx.x / kLanes;
  const int lane = threadIdx.x % kLanes;
  const Tile tile = p.batch.tiles[tile_index];
  const int row = blockIdx.x % kRowGroups * kWarps + warp;
  if (row >= tile.num_rows) return;

  const int head_dim = p.kv.head_dim;
  const int64_t row_head =
      int64_t{tile.row_begin + row} * p.num_query_heads + head;
  for (int d = lane; d < head_dim; d += kLanes) {
    queries[warp][d] =
        ToFloat(static_cast<const T*>(p.queries)[row_head * head_dim + d]);
  }
  __syncwarp();

  const int32_t* pages = p.batch.sequences[tile.sequence].page_table;
  const int64_t kv_head = head / (p.num_query_heads / p.kv.num_kv_heads);
  const int64_t tile_elements = int64_t{kBlockSize} * head_dim;
  RowState state;
  for (int block = 0; block <= tile.block; ++block) {
    if (!ReadsBlock(p, tile_index, head, block)) continue;
    const T* keys = static_cast<const T*>(p.kv.pages) +
                    (int64_t{pages[block]} * 2 * p.kv.num_kv_heads + kv_head) *
                        tile_elements;
    const int num_keys =
        block == tile.block ? tile.offset + row + 1 : kBlockSize;
    AddPage(queries[warp], keys, keys + p.kv.num_kv_heads * tile_elements,
            num_keys, head_dim, p.scale, lane, weights[warp], state);
  }

  const bool any = state.max > -INFINITY;
  T* out = static_cast<T*>(p.out) + row_head * head_dim;
  for (int i = 0; i < kLaneChannels; ++i) {
    const int d = lane + i * kLanes;
    if (d < head_dim && p.out != nullptr) {
      out[d] = FromFloat<T>(any ? state.out[i] / state.sum : 0.0f);
    }
  }
  if (p.log_sum_exp != nullptr && lane == 0) {
    p.log_sum_exp[row_head] = any ? state.max + logf(state.sum) : -INFINITY;
  }
}

}  // namespace

cudaError_t LaunchGeneric(const GenericParams& params, DType dtype,
                          cudaStream_t stream) {
  const dim3 grid(params.batch.num_tiles * (kBlockSize / kWarps),
                  params.num_query_heads);
  if (dtype == DType::kFloat32) {
    GenericKernel<float><<<grid, kWarps * kLanes, 0, stream>>>(params);
  } else {
    GenericKernel<__nv_bfloat16><<<grid, kWarps * kLanes, 0, stream>>>(params);
  }
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
