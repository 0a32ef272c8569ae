// Prompt tiles on a GPU with Hopper's tensor cores and copy engine.
#ifndef SEER_KERNELS_ATTENTION_CUDA_PREFILL_H_
#define SEER_KERNELS_ATTENTION_CUDA_PREFILL_H_

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/attention/attention_plan.h"

namespace seer {
namespace cuda {

// What the kernel reads and writes; all pointers are the device's. bfloat16.
struct PrefillParams {
  const PromptPart* parts = nullptr;
  int32_t num_parts = 0;
  int32_t num_split_parts = 0;  // of split tiles; the first
  int64_t num_key_blocks = 0;   // that the parts read, one KV head's
  int32_t num_query_heads = 0;
  int32_t num_kv_heads = 0;
  float scale_log2 = 0.0f;  // the scale * log2(e)

  // BlockSets, its words halved; both null: every tile reads everything.
  const uint32_t* bits = nullptr;  // [tiles, Hq, num_half_words]
  const int32_t* counts = nullptr;
  int32_t num_half_words = 0;

  void* out = nullptr;           // [num_rows, Hq, D], or null: no sets
  float* log_sum_exp = nullptr;  // [num_rows, Hq], or null

  // Of split tiles, by (partial tile, query head).
  float* partial_outs = nullptr;       // [partial tiles, Hq, 64, D]
  float* partial_log2_sums = nullptr;  // [partial tiles, Hq, 64]
  unsigned* arrivals = nullptr;        // [partial tiles, Hq]; 0
  unsigned* num_claimed = nullptr;     // work taken beside each warp's first; 0
};

// The copy engine's view of the queries and the pages (tensor_maps.h).
struct PrefillMaps {
  CUtensorMap queries;
  CUtensorMap pages;
};

// Enqueues the attention of every part; `head_dim` is 64 or 128.
cudaError_t LaunchPrefill(const PrefillParams& params, const PrefillMaps& maps,
                          int head_dim, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_PREFILL_H_
