// Where the entries of scored tiles come from and go to.
#ifndef SEER_KERNELS_GATE_SCORE_CUDA_ENTRY_ROWS_CUH_
#define SEER_KERNELS_GATE_SCORE_CUDA_ENTRY_ROWS_CUH_

#include <cstdint>

#include "kernels/gate_score/cuda/gate_params.h"

namespace seer {
namespace cuda {

// Heads of entries: the query heads, then the keys' entry heads.
__host__ __device__ __forceinline__ int32_t
NumHeadsOfEntries(const GateParams& p) {
  return p.num_query_heads + p.num_entry_heads;
}

__device__ __forceinline__ const EntryPools& PoolsOf(const GateParams& p,
                                                     int32_t head) {
  return head < p.num_query_heads ? p.query_pools : p.key_pools;
}

// The head's weights [num_kinds * D, D], or null.
template <class T>
__device__ __forceinline__ const T* WeightsOf(const GateParams& p,
                                              int32_t head) {
  const EntryPools& pools = PoolsOf(p, head);
  if (pools.weights == nullptr) return nullptr;
  const int64_t of_side =
      head < p.num_query_heads ? head : head - p.num_query_heads;
  return static_cast<const T*>(pools.weights) +
         of_side * pools.num_kinds * p.head_dim * p.head_dim;
}

// One entry of one head: that of a scored tile's rows.
template <class T>
struct EntryRow {
  const float* pools = nullptr;  // [kNumPools, D]; null: there is no such tile
  T* entry = nullptr;            // [D]
  int64_t position = 0;          // of the block's first token
  float num_tokens = 1.0f;
};

// Of scored tile `index`; none from num_scored_tiles on.
template <class T>
__device__ __forceinline__ EntryRow<T> EntryRowOf(const GateParams& p,
                                                  int32_t index, int32_t head) {
  EntryRow<T> row;
  if (index >= p.num_scored_tiles) return row;
  const int32_t tile_index = p.tile_indices[index];
  const Tile tile = p.batch.tiles[tile_index];
  const int64_t head_dim = p.head_dim;
  row.position = int64_t{tile.block} * kBlockSize;
  row.num_tokens = static_cast<float>(tile.num_rows);
  if (head < p.num_query_heads) {
    row.pools =
        p.pooled_queries +
        (int64_t{tile_index} * p.num_query_heads + head) * kNumPools * head_dim;
    row.entry = static_cast<T*>(p.query_entries) +
                (int64_t{index} * p.num_query_heads + head) * head_dim;
    return row;
  }
  const int32_t entry_head = head - p.num_query_heads;
  const int32_t kv_head = entry_head / (p.num_entry_heads / p.num_kv_heads);
  const int64_t page = p.batch.sequences[tile.sequence].page_table[tile.block];
  row.pools =
      p.pooled_keys + (page * p.num_kv_heads + kv_head) * kNumPools * head_dim;
  row.entry = static_cast<T*>(p.key_entries) +
              (page * p.num_entry_heads + entry_head) * head_dim;
  return row;
}

// What a pool's values are divided by; 1 is exact.
__device__ __forceinline__ float PoolDivisor(int32_t kind, float num_tokens) {
  return kind == kPoolSum || kind == kPoolRopedSum ? num_tokens : 1.0f;
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CUDA_ENTRY_ROWS_CUH_
