// Where the rows of one tile for one head are read and written.
#ifndef SEER_KERNELS_QK_PREPARE_CUDA_COLUMN_CUH_
#define SEER_KERNELS_QK_PREPARE_CUDA_COLUMN_CUH_

#include <cstdint>

#include "kernels/qk_prepare/cuda/prepare_params.h"

namespace seer {
namespace cuda {

template <class T>
struct Column {
  const T* in = nullptr;  // [num_rows, D]; null: there is no such column
  int64_t in_stride = 0;
  T* out = nullptr;  // [num_rows, D]
  int64_t out_stride = 0;
  float* pools = nullptr;    // [kNumPools, D], or null
  bool starts_pools = true;  // the first row is its block's first token
  bool rotates = true;       // false: values, which are copied
};

// Column `index` of 0..NumColumns(p) - 1; none from there on.
template <class T>
__device__ __forceinline__ Column<T> ColumnOf(const PrepareParams& p,
                                              int32_t tile_index,
                                              const Tile& tile, int32_t index) {
  Column<T> column;
  const int64_t head_dim = p.kv.head_dim;
  const int64_t row = tile.row_begin;
  if (index < p.num_query_heads) {
    column.in = static_cast<const T*>(p.queries) + row * p.query_row_stride +
                index * head_dim;
    column.in_stride = p.query_row_stride;
    column.out_stride = p.num_query_heads * head_dim;
    column.out = static_cast<T*>(p.roped_queries) + row * column.out_stride +
                 index * head_dim;
    if (p.pooled_queries != nullptr && tile_index < p.batch.num_prompt_tiles) {
      column.pools =
          p.pooled_queries + (int64_t{tile_index} * p.num_query_heads + index) *
                                 kNumPools * head_dim;
    }
    return column;
  }
  const int32_t page = p.batch.sequences[tile.sequence].page_table[tile.block];
  const int64_t slot = tile.offset * head_dim;
  column.out_stride = head_dim;
  int32_t head = index - p.num_query_heads;
  if (head < p.kv.num_kv_heads) {
    column.in = static_cast<const T*>(p.keys) + row * p.key_row_stride +
                head * head_dim;
    column.in_stride = p.key_row_stride;
    column.out =
        static_cast<T*>(p.kv.pages) + p.kv.KeyOffset(page, head) + slot;
    column.pools = p.kv.pooled_keys + p.kv.PoolOffset(page, head, kPoolMax);
    column.starts_pools = tile.offset == 0;
    return column;
  }
  head -= p.kv.num_kv_heads;
  if (head >= p.kv.num_kv_heads) return column;
  column.in = static_cast<const T*>(p.values) + row * p.value_row_stride +
              head * head_dim;
  column.in_stride = p.value_row_stride;
  column.out =
      static_cast<T*>(p.kv.pages) + p.kv.ValueOffset(page, head) + slot;
  column.rotates = false;
  return column;
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_CUDA_COLUMN_CUH_
