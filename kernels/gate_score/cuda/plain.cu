#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/rotation.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/gate_score/cuda/entry_rows.cuh"
#include "kernels/gate_score/cuda/plain.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kEntryThreads = kMaxHeadDim;
constexpr int kEntryTiles = 8;  // that share one reading of the weights
constexpr int kLogitThreads = 64;

template <class T>
struct PlainMemory {
  EntryRow<T> rows[kEntryTiles];
  float inputs[kEntryTiles][EntryPools::kMost * kMaxHeadDim];
  float entries[kEntryTiles][kMaxHeadDim];
};

// The pools of the set, concatenated, as T holds them.
template <class T>
__device__ __forceinline__ void FillInputs(const EntryPools& pools,
                                           int head_dim,
                                           PlainMemory<T>& memory) {
  for (int t = 0; t < kEntryTiles; ++t) {
    const EntryRow<T>& row = memory.rows[t];
    for (int k = 0; k < pools.num_kinds; ++k) {
      const int kind = pools.kinds[k];
      const float divisor = PoolDivisor(kind, row.num_tokens);
      for (int c = threadIdx.x; c < head_dim; c += kEntryThreads) {
        float value = 0.0f;
        if (row.pools != nullptr) {
          value = __fdiv_rn(row.pools[kind * head_dim + c], divisor);
        }
        memory.inputs[t][k * head_dim + c] = RoundedTo<T>(value);
      }
    }
  }
}

// entries = inputs @ weights [num_inputs, D], as T holds them.
template <class T>
__device__ __forceinline__ void Project(const T* weights, int num_inputs,
                                        int head_dim, PlainMemory<T>& memory) {
  for (int c = threadIdx.x; c < head_dim; c += kEntryThreads) {
    float sums[kEntryTiles] = {};
    for (int i = 0; i < num_inputs; ++i) {
      const float weight = ToFloat(weights[i * head_dim + c]);
#pragma unroll
      for (int t = 0; t < kEntryTiles; ++t) {
        sums[t] = fmaf(memory.inputs[t][i], weight, sums[t]);
      }
    }
#pragma unroll
    for (int t = 0; t < kEntryTiles; ++t) {
      memory.entries[t][c] = RoundedTo<T>(sums[t]);
    }
  }
}

template <class T>
__device__ __forceinline__ void WriteEntry(const GateParams& p,
                                           const EntryRow<T>& row,
                                           const float* entry) {
  const int half = p.head_dim / 2;
  for (int c = threadIdx.x; c < half; c += kEntryThreads) {
    float low = entry[c];
    float high = entry[c + half];
    if (p.cos != nullptr) {
      const float cos = p.cos[row.position * half + c];
      const float sin = p.sin[row.position * half + c];
      const float rotated_low = RotatedLow(low, high, cos, sin);
      high = RotatedHigh(low, high, cos, sin);
      low = rotated_low;
    }
    row.entry[c] = FromFloat<T>(low);
    row.entry[c + half] = FromFloat<T>(high);
  }
}

// A thread block: kEntryTiles scored tiles, one head.
template <class T>
__global__ void __launch_bounds__(kEntryThreads)
    PlainEntriesKernel(const __grid_constant__ GateParams p) {
  __shared__ PlainMemory<T> memory;
  const int head = blockIdx.y;
  if (threadIdx.x < kEntryTiles) {
    memory.rows[threadIdx.x] =
        EntryRowOf<T>(p, blockIdx.x * kEntryTiles + threadIdx.x, head);
  }
  __syncthreads();
  const EntryPools& pools = PoolsOf(p, head);
  const T* weights = WeightsOf<T>(p, head);
  FillInputs<T>(pools, p.head_dim, memory);
  __syncthreads();
  if (weights != nullptr) {
    Project(weights, pools.num_kinds * p.head_dim, p.head_dim, memory);
    __syncthreads();
  }
  for (int t = 0; t < kEntryTiles; ++t) {
    if (memory.rows[t].pools == nullptr) continue;
    WriteEntry(p, memory.rows[t],
               weights != nullptr ? memory.entries[t] : memory.inputs[t]);
  }
}

// A thread block: one scored tile, kLogitThreads key blocks, one query head.
template <class T>
__global__ void __launch_bounds__(kLogitThreads)
    PlainLogitsKernel(const __grid_constant__ GateParams p) {
  __shared__ float query[kMaxHeadDim];
  const int32_t tile_index = p.tile_indices[blockIdx.x];
  const Tile tile = p.batch.tiles[tile_index];
  const int32_t first_block = blockIdx.y * kLogitThreads;
  if (first_block > tile.block) return;
  const int head = blockIdx.z;
  const int head_dim = p.head_dim;
  const T* query_entry =
      static_cast<const T*>(p.query_entries) +
      (int64_t{blockIdx.x} * p.num_query_heads + head) * head_dim;
  for (int c = threadIdx.x; c < head_dim; c += kLogitThreads) {
    query[c] = ToFloat(query_entry[c]);
  }
  __syncthreads();
  const int32_t block = first_block + threadIdx.x;
  if (block > tile.block) return;
  const int64_t page = p.batch.sequences[tile.sequence].page_table[block];
  const int32_t entry_head = head / (p.num_query_heads / p.num_entry_heads);
  const T* key = static_cast<const T*>(p.key_entries) +
                 (page * p.num_entry_heads + entry_head) * head_dim;
  float sum = 0.0f;
  for (int c = 0; c < head_dim; ++c) sum = fmaf(query[c], ToFloat(key[c]), sum);
  p.logits[(int64_t{tile_index} * p.num_query_heads + head) * p.logits_row_len +
           block] = sum * p.scale;
}

template <class T>
cudaError_t LaunchEntries(const GateParams& params, cudaStream_t stream) {
  const dim3 grid((params.num_scored_tiles + kEntryTiles - 1) / kEntryTiles,
                  NumHeadsOfEntries(params));
  PlainEntriesKernel<T><<<grid, kEntryThreads, 0, stream>>>(params);
  return cudaGetLastError();
}

template <class T>
cudaError_t LaunchLogits(const GateParams& params, cudaStream_t stream) {
  const dim3 grid(params.num_scored_tiles,
                  (params.logits_row_len + kLogitThreads - 1) / kLogitThreads,
                  params.num_query_heads);
  PlainLogitsKernel<T><<<grid, kLogitThreads, 0, stream>>>(params);
  return cudaGetLastError();
}

}  // namespace

cudaError_t LaunchPlainEntries(const GateParams& params, DType dtype,
                               cudaStream_t stream) {
  return dtype == DType::kFloat32
             ? LaunchEntries<float>(params, stream)
             : LaunchEntries<__nv_bfloat16>(params, stream);
}

cudaError_t LaunchPlainLogits(const GateParams& params, DType dtype,
                              cudaStream_t stream) {
  return dtype == DType::kFloat32 ? LaunchLogits<float>(params, stream)
                                  : LaunchLogits<__nv_bfloat16>(params, stream);
}

}  // namespace cuda
}  // namespace seer
