// Prepares a step's queries and keys for gate and attention in one pass:
// RoPE, KV page write, raw pooling.
#ifndef SEER_KERNELS_QK_PREPARE_QK_PREPARE_H_
#define SEER_KERNELS_QK_PREPARE_QK_PREPARE_H_

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"
#include "kernels/rope.h"

namespace seer {

// Row strides let q, k and v be columns of one fused projection's output.
struct QkPrepareArgs {
  RaggedBatch batch;
  DType dtype = DType::kBFloat16;  // of q, k, v, roped_queries and kv
  int32_t num_query_heads = 0;     // a multiple of kv.num_kv_heads

  const void* queries = nullptr;  // [num_rows, Hq, D], before RoPE
  const void* keys = nullptr;     // [num_rows, Hk, D], before RoPE
  const void* values = nullptr;   // [num_rows, Hk, D]
  int64_t query_row_stride = 0;   // elements between rows; 0: Hq * D
  int64_t key_row_stride = 0;     // elements; 0: Hk * D
  int64_t value_row_stride = 0;   // elements; 0: Hk * D
  RopeTable rope;                 // covers every position of the batch

  void* roped_queries = nullptr;  // out [num_rows, Hq, D]
  // Out: roped keys and values go to their sequences' pages, and the raw pools
  // of those pages take the new keys in (a page's first token starts them).
  PagedKv kv;
  // Out, fp32 [num_prompt_tiles, Hq, kNumPools, D]: the raw pools of each
  // prompt tile's queries (sums, like the keys'). Null: not wanted.
  float* pooled_queries = nullptr;
};

// RoPE is the half-split rotation in fp32, rounded once to dtype. Roped pools
// sum the values after that rounding: what attention reads. Sums run in token
// order, so pools do not depend on how a prompt was chunked. A NaN in a channel
// makes every pool of that channel and block NaN, and stays one (in the roped
// sum: that of both channels of the rotated pair).
//
// Tiles are written at the same time: no two may share a page. So a sequence's
// prompt slice that ends inside a block and the generated slice that goes on
// there are two steps. Inputs and outputs must not overlap.
// INVALID_ARGUMENT: shapes disagree, two tiles write one page.
//
// kCuda does not look into what is in device memory: `batch`, before it went
// there, has passed CheckBatch, CheckPages and CheckRopeTable, and no two of
// its tiles share a page. A tile of no rows is passed over. Results are the
// other backends' bit for bit, but for the bits of a NaN and the sign of a
// maximum or minimum that is 0. It is fast where half a head is a multiple of
// 16 bytes, and so are all addresses and strides of rows.
absl::Status QkPrepare(Backend backend, const QkPrepareArgs& args,
                       DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_QK_PREPARE_H_
