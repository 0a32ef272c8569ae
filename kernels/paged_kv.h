// The paged KV cache of one layer, as kernels see it.
#ifndef SEER_KERNELS_PAGED_KV_H_
#define SEER_KERNELS_PAGED_KV_H_

#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/ragged_batch.h"

namespace seer {

// The largest head_dim that kernels take.
constexpr int32_t kMaxHeadDim = 256;

// Raw pools of a block of keys or queries, per head and channel, in the order
// they are stored. All fp32, independent of any gate design.
enum PoolKind : int {
  kPoolMax = 0,      // maximum over the tokens present, before RoPE
  kPoolMin = 1,      // minimum, before RoPE
  kPoolSum = 2,      // sum, before RoPE; / tokens present gives the average
  kPoolRopedSum = 3  // sum of the roped values (for mean_pool)
};
constexpr int kNumPools = 4;

// One layer's pages. A page holds one block of one sequence: its roped keys
// and its values, (page, K or V, head) being 64 * head_dim contiguous
// elements; beside it, the raw pools of its keys. Tokens of a page are filled
// in order; the tokens present follow from the sequence's length.
//
// Pages are shared by page tables, never by address: the same physical page
// may stand in several sequences' tables when they share a prefix.
struct PagedKv {
  void* pages = nullptr;  // dtype [num_pages, 2, num_kv_heads, 64, head_dim]
  float* pooled_keys =
      nullptr;  // [num_pages, num_kv_heads, kNumPools, head_dim]
  DType dtype = DType::kBFloat16;
  int64_t num_pages = 0;
  int32_t num_kv_heads = 0;
  int32_t head_dim = 0;

  // Element offset of (page, K or V, head): 64-bit, pools pass 2^31 elements.
  constexpr int64_t KeyOffset(int64_t page, int64_t head) const {
    return ((page * 2 + 0) * num_kv_heads + head) * kBlockSize * head_dim;
  }
  constexpr int64_t ValueOffset(int64_t page, int64_t head) const {
    return ((page * 2 + 1) * num_kv_heads + head) * kBlockSize * head_dim;
  }
  // Element offset of the pool `kind` of (page, head) in pooled_keys.
  constexpr int64_t PoolOffset(int64_t page, int64_t head, int kind) const {
    return ((page * num_kv_heads + head) * kNumPools + kind) * head_dim;
  }
};

}  // namespace seer

#endif  // SEER_KERNELS_PAGED_KV_H_
