// Causal attention over a paged KV cache in which each (prompt tile, query
// head) reads only the key blocks of its set.
#ifndef SEER_KERNELS_ATTENTION_ATTENTION_H_
#define SEER_KERNELS_ATTENTION_ATTENTION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/attention/attention_plan.h"
#include "kernels/block_sets.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {

// out[r, h] = softmax over keys c <= position(r), c in the selected blocks of
// (tile(r), h), of scale * q[r, h].k[c, h / (Hq / Hk)], times v. Only the
// diagonal block is masked by element. Rows of generated tiles read every
// block. An empty set gives output 0 and log-sum-exp -inf.
struct AttentionArgs {
  RaggedBatch batch;
  DType dtype = DType::kBFloat16;  // of queries, kv and out
  int32_t num_query_heads = 0;     // Hq = Hk * group, group 1..16

  const void* queries = nullptr;  // [num_rows, Hq, D], roped
  PagedKv kv;                     // holds this step's keys and values too
  BlockSets sets;                 // bits null: every tile reads everything
  AttentionPlan plan;             // of the batch; read by kCuda
  float scale = 0.0f;             // > 0, usually 1 / sqrt(D)

  void* out = nullptr;           // out [num_rows, Hq, D]
  float* log_sum_exp = nullptr;  // out [num_rows, Hq], natural log, or null
};

// D <= 256, even; 64 and 128 are fast. Accumulation is fp32 or wider.
// A row's result does not depend, in any bit, on the other rows of the batch,
// on chunking or on the number of threads. kv.pooled_keys is not read; neither
// are tokens of a page past those present, whatever is there.
// INVALID_ARGUMENT: shapes disagree. UNIMPLEMENTED: no kernel for this shape.
//
// kCuda does not look into what is in device memory: `batch`, before it went
// there, has passed CheckBatch and CheckPages, and `sets` covers it.
absl::Status Attend(Backend backend, const AttentionArgs& args,
                    DeviceStream stream);

// Bytes of DeviceStream::workspace that Attend needs. Read of `args`: the
// batch's counts, the plan's numbers, dtype and shapes.
int64_t AttentionWorkspaceBytes(Backend backend, const AttentionArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_ATTENTION_H_
