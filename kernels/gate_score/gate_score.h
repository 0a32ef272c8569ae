// Scores key blocks for a step's prompt tiles: the SeerAttention gate
// (AttnGate, arXiv 2410.13276) and the weightless mean_pool.
#ifndef SEER_KERNELS_GATE_SCORE_GATE_SCORE_H_
#define SEER_KERNELS_GATE_SCORE_GATE_SCORE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"
#include "kernels/rope.h"

namespace seer {

// A subset of {max, min, avg}; concatenated in that order.
struct PoolSet {
  bool max = false;
  bool min = false;
  bool avg = false;

  int size() const { return int{max} + int{min} + int{avg}; }
};

// What one layer's gate computes.
//   mean_pool (mean_pool = true): entries are block means of roped K and Q;
//     nothing is projected or rotated; num_entry_heads = Hk.
//   single linear (linear_q null): Q has one pool, which is not projected;
//     linear_k [Hq, nk * D, D]; num_entry_heads = Hq.
//   double: linear_q [Hq, nq * D, D], linear_k [Hk, nk * D, D];
//     num_entry_heads = Hk.
struct GateLayer {
  bool mean_pool = false;
  PoolSet query_pools;
  PoolSet key_pools;
  const void* linear_q = nullptr;  // dtype, or null
  const void* linear_k = nullptr;  // dtype, or null (mean_pool)
};

// Scores the tiles of those sequences of a batch that one gate serves.
struct GateScoreArgs {
  RaggedBatch batch;
  DType dtype = DType::kBFloat16;  // of the weights and entries: the model's
  int32_t num_query_heads = 0;
  GateLayer gate;
  RopeTable rope;  // the base model's own

  // The prompt tiles to score, as indices into batch.tiles (each < its
  // num_prompt_tiles), ascending. A sequence appears with all its tiles of the
  // step or none.
  const int32_t* tile_indices = nullptr;  // [num_scored_tiles]
  int32_t num_scored_tiles = 0;

  const float* pooled_queries = nullptr;  // QkPrepareArgs::pooled_queries
  PagedKv kv;                             // its pooled_keys are read

  // Gate entries of key blocks, parallel to the KV pages:
  // [num_pages, num_entry_heads, D], dtype. This call writes the entries of
  // the pages under the scored tiles, and reads those of all visible blocks:
  // earlier calls have written them.
  void* key_entries = nullptr;
  int32_t num_entry_heads = 0;

  // Out: logit of key block j for (tile, head), fp32, at
  // ((tile * Hq) + head) * logits_row_len + j for j <= tile.block; the tile
  // index is the batch's. Entries past the visible blocks are not written.
  float* logits = nullptr;
  int32_t logits_row_len = 0;  // >= the largest number of visible blocks
};

// Rounding: pools fp32, then dtype; projection accumulates fp32, then dtype;
// RoPE (at the position of the block's first token) in fp32, then dtype;
// logits q.k / sqrt(D) in fp32. A logit depends on its two entries only: not
// on the other tiles, the chunking or the number of threads.
// INVALID_ARGUMENT: shapes disagree.
//
// kCuda does not look into what is in device memory: `batch` and
// `tile_indices`, before they went there, have passed CheckBatch, CheckPages
// and CheckRopeTable and are as this page says. It is fast for bfloat16 where D
// is 64 or 128 and addresses are multiples of 16 bytes.
absl::Status GateScore(Backend backend, const GateScoreArgs& args,
                       DeviceStream stream);

// Bytes of DeviceStream::workspace that GateScore needs. Read of `args`:
// num_scored_tiles, dtype and shapes.
int64_t GateScoreWorkspaceBytes(Backend backend, const GateScoreArgs& args);

// softmax of one row of logits in fp32, summed in order: probs[j] for
// j < num_visible. What the threshold budget compares on the CPU; a GPU's lanes
// sum in another order. A NaN logit gets 0; logits equal to an infinite largest
// share all of it.
void GateSoftmax(const float* logits, int32_t num_visible, float* probs);

}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_GATE_SCORE_H_
