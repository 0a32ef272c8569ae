// GateScoreArgs without what needs Abseil, for the GPU's kernels.
#ifndef SEER_KERNELS_GATE_SCORE_CUDA_GATE_PARAMS_H_
#define SEER_KERNELS_GATE_SCORE_CUDA_GATE_PARAMS_H_

#include <cstdint>

#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

// What the entries of queries, or of keys, are made from: raw pools, one after
// the other, in this order. Sums become averages.
struct EntryPools {
  static constexpr int kMost = 3;
  int32_t kinds[kMost] = {};  // PoolKind
  int32_t num_kinds = 0;      // 1..kMost
  // dtype [heads, num_kinds * D, D]; null: the one pool is the entry.
  const void* weights = nullptr;
};

// All pointers are the device's.
struct GateParams {
  RaggedBatch batch;
  int32_t num_query_heads = 0;            // Hq
  int32_t num_kv_heads = 0;               // Hk
  int32_t num_entry_heads = 0;            // of keys: Hk or Hq
  int32_t head_dim = 0;                   // D
  const int32_t* tile_indices = nullptr;  // [num_scored_tiles]
  int32_t num_scored_tiles = 0;

  EntryPools query_pools;
  EntryPools key_pools;
  const float* pooled_queries = nullptr;  // [prompt tiles, Hq, kNumPools, D]
  const float* pooled_keys = nullptr;     // [pages, Hk, kNumPools, D]
  const float* cos = nullptr;  // [positions, D / 2]; null: nothing is rotated
  const float* sin = nullptr;

  void* query_entries = nullptr;  // dtype [num_scored_tiles, Hq, D]
  void* key_entries = nullptr;    // dtype [pages, num_entry_heads, D]
  float* logits = nullptr;        // [prompt tiles, Hq, logits_row_len]
  int32_t logits_row_len = 0;
  float scale = 0.0f;
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CUDA_GATE_PARAMS_H_
