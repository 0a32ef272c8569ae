#include "kernels/qk_prepare/reference/qk_prepare_reference.h"

#include <algorithm>
#include <cstdint>

namespace seer {
namespace {

// out = x rotated to `position`: channel i pairs with channel i + D / 2.
template <typename T>
void Rotate(const T* x, const RopeTable& rope, int64_t position, T* out) {
  const int64_t half = rope.head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float cos = rope.cos[position * half + i];
    const float sin = rope.sin[position * half + i];
    const float low = static_cast<float>(x[i]);
    const float high = static_cast<float>(x[i + half]);
    out[i] = T(low * cos - high * sin);
    out[i + half] = T(high * cos + low * sin);
  }
}

// Takes one token into the pools [kNumPools, D] of its block. A NaN stays.
template <typename T>
void Pool(const T* x, const T* roped, int64_t head_dim, bool is_first,
          float* pools) {
  float* const max = pools + kPoolMax * head_dim;
  float* const min = pools + kPoolMin * head_dim;
  float* const sum = pools + kPoolSum * head_dim;
  float* const roped_sum = pools + kPoolRopedSum * head_dim;
  for (int64_t i = 0; i < head_dim; ++i) {
    const float value = static_cast<float>(x[i]);
    const float roped_value = static_cast<float>(roped[i]);
    if (is_first) {
      max[i] = min[i] = sum[i] = value;
      roped_sum[i] = roped_value;
      continue;
    }
    const bool max_stays = value <= max[i] || max[i] != max[i];
    const bool min_stays = value >= min[i] || min[i] != min[i];
    if (!max_stays) max[i] = value;
    if (!min_stays) min[i] = value;
    sum[i] += value;
    roped_sum[i] += roped_value;
  }
}

template <typename T>
void PrepareRow(const QkPrepareArgs& args, int64_t tile_index, int64_t row) {
  const Tile& tile = args.batch.tiles[tile_index];
  const int64_t head_dim = args.kv.head_dim;
  const int64_t slot = tile.offset + row - tile.row_begin;
  const int64_t position = int64_t{tile.block} * kBlockSize + slot;
  const int64_t page =
      args.batch.sequences[tile.sequence].page_table[tile.block];

  for (int64_t head = 0; head < args.num_query_heads; ++head) {
    const T* const query = static_cast<const T*>(args.queries) +
                           row * args.query_row_stride + head * head_dim;
    T* const roped = static_cast<T*>(args.roped_queries) +
                     (row * args.num_query_heads + head) * head_dim;
    Rotate(query, args.rope, position, roped);
    if (args.pooled_queries != nullptr &&
        tile_index < args.batch.num_prompt_tiles) {
      Pool(query, roped, head_dim, row == tile.row_begin,
           args.pooled_queries + (tile_index * args.num_query_heads + head) *
                                     kNumPools * head_dim);
    }
  }
  T* const pages = static_cast<T*>(args.kv.pages);
  for (int64_t head = 0; head < args.kv.num_kv_heads; ++head) {
    const T* const key = static_cast<const T*>(args.keys) +
                         row * args.key_row_stride + head * head_dim;
    const T* const value = static_cast<const T*>(args.values) +
                           row * args.value_row_stride + head * head_dim;
    T* const roped = pages + args.kv.KeyOffset(page, head) + slot * head_dim;
    Rotate(key, args.rope, position, roped);
    Pool(key, roped, head_dim, slot == 0,
         args.kv.pooled_keys + args.kv.PoolOffset(page, head, kPoolMax));
    std::copy_n(value, head_dim,
                pages + args.kv.ValueOffset(page, head) + slot * head_dim);
  }
}

template <typename T>
void Prepare(const QkPrepareArgs& args) {
  for (int64_t t = 0; t < args.batch.num_tiles; ++t) {
    const Tile& tile = args.batch.tiles[t];
    for (int64_t r = 0; r < tile.num_rows; ++r) {
      PrepareRow<T>(args, t, tile.row_begin + r);
    }
  }
}

}  // namespace

void QkPrepareReference(const QkPrepareArgs& args) {
  args.dtype == DType::kFloat32 ? Prepare<float>(args)
                                : Prepare<BFloat16>(args);
}

}  // namespace seer
