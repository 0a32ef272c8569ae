#include "kernels/qk_prepare/cpu/qk_prepare_cpu.h"

#include <cstdint>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/qk_prepare/cpu/qk_prepare_cpu.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {

// The rows of one tile for one head.
template <typename T>
struct HeadRows {
  const T* in = nullptr;  // [num_rows, D], before RoPE
  int64_t in_stride = 0;
  T* roped = nullptr;  // [num_rows, D]
  int64_t roped_stride = 0;
  const float* cos = nullptr;  // [num_rows, D / 2], of the rows' positions
  const float* sin = nullptr;
  int64_t num_rows = 0;
  int64_t head_dim = 0;
  float* pools = nullptr;    // [kNumPools, D], or null
  bool starts_pools = true;  // the first row is its block's first token
};

// The pools of the channels of one vector, in registers.
template <class V>
struct VectorPools {
  V max, min, sum, roped_sum;
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE VectorPools<V> LoadPools(D d, const float* pools, int64_t head_dim) {
  return {hn::LoadU(d, pools + kPoolMax * head_dim),
          hn::LoadU(d, pools + kPoolMin * head_dim),
          hn::LoadU(d, pools + kPoolSum * head_dim),
          hn::LoadU(d, pools + kPoolRopedSum * head_dim)};
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE void StorePools(D d, const VectorPools<V>& p, float* pools,
                           int64_t head_dim) {
  hn::StoreU(p.max, d, pools + kPoolMax * head_dim);
  hn::StoreU(p.min, d, pools + kPoolMin * head_dim);
  hn::StoreU(p.sum, d, pools + kPoolSum * head_dim);
  hn::StoreU(p.roped_sum, d, pools + kPoolRopedSum * head_dim);
}

template <class V>
HWY_INLINE void AddToPools(V x, V roped, VectorPools<V>& p) {
  const auto max_stays = hn::Or(hn::Le(x, p.max), hn::IsNaN(p.max));
  const auto min_stays = hn::Or(hn::Ge(x, p.min), hn::IsNaN(p.min));
  p.max = hn::IfThenElse(max_stays, p.max, x);
  p.min = hn::IfThenElse(min_stays, p.min, x);
  p.sum = hn::Add(p.sum, x);
  p.roped_sum = hn::Add(p.roped_sum, roped);
}

// Rotates and pools the channel pairs [i, i + Lanes(d)) of every row.
template <bool kPooled, class D, typename T>
HWY_INLINE void PreparePairs(D d, const HeadRows<T>& rows, int64_t i) {
  using V = hn::Vec<D>;
  const int64_t half = rows.head_dim / 2;
  const auto zero = hn::Zero(d);
  VectorPools<V> low_pools{zero, zero, zero, zero};
  VectorPools<V> high_pools = low_pools;
  const bool loads_pools = kPooled && !rows.starts_pools;
  if (loads_pools) {
    low_pools = LoadPools(d, rows.pools + i, rows.head_dim);
    high_pools = LoadPools(d, rows.pools + i + half, rows.head_dim);
  }
  for (int64_t r = 0; r < rows.num_rows; ++r) {
    const T* const in = rows.in + r * rows.in_stride + i;
    T* const out = rows.roped + r * rows.roped_stride + i;
    const auto cos = hn::LoadU(d, rows.cos + r * half + i);
    const auto sin = hn::LoadU(d, rows.sin + r * half + i);
    const auto low = LoadFloats(d, in);
    const auto high = LoadFloats(d, in + half);
    const auto roped_low =
        RoundFloats(d, hn::Sub(hn::Mul(low, cos), hn::Mul(high, sin)), in);
    const auto roped_high =
        RoundFloats(d, hn::Add(hn::Mul(high, cos), hn::Mul(low, sin)), in);
    StoreRounded(d, roped_low, out);
    StoreRounded(d, roped_high, out + half);
    if (!kPooled) continue;
    if (r == 0 && rows.starts_pools) {
      low_pools = {low, low, low, roped_low};
      high_pools = {high, high, high, roped_high};
    } else {
      AddToPools(low, roped_low, low_pools);
      AddToPools(high, roped_high, high_pools);
    }
  }
  if (kPooled) {
    StorePools(d, low_pools, rows.pools + i, rows.head_dim);
    StorePools(d, high_pools, rows.pools + i + half, rows.head_dim);
  }
}

template <typename T>
void PrepareHead(const HeadRows<T>& rows) {
  const int64_t half = rows.head_dim / 2;
  WithLanesDividing(half, [&](auto d) HWY_ATTR {
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t i = 0; i < half; i += lanes) {
      if (rows.pools != nullptr) {
        PreparePairs<true>(d, rows, i);
      } else {
        PreparePairs<false>(d, rows, i);
      }
    }
  });
}

// One tile, one KV head and the query heads that read it.
template <typename T>
void PrepareGroup(const QkPrepareArgs& args, int64_t tile_index,
                  int64_t kv_head) {
  const RaggedBatch& batch = args.batch;
  const Tile& tile = batch.tiles[tile_index];
  const PagedKv& kv = args.kv;
  const int64_t head_dim = kv.head_dim;
  const int64_t position = int64_t{tile.block} * kBlockSize + tile.offset;
  const int64_t row = tile.row_begin;
  const int64_t group = args.num_query_heads / kv.num_kv_heads;

  HeadRows<T> rows;
  rows.cos = args.rope.cos + position * (head_dim / 2);
  rows.sin = args.rope.sin + position * (head_dim / 2);
  rows.num_rows = tile.num_rows;
  rows.head_dim = head_dim;

  const bool pools_queries =
      args.pooled_queries != nullptr && tile_index < batch.num_prompt_tiles;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    rows.in = static_cast<const T*>(args.queries) +
              row * args.query_row_stride + head * head_dim;
    rows.in_stride = args.query_row_stride;
    rows.roped = static_cast<T*>(args.roped_queries) +
                 (row * args.num_query_heads + head) * head_dim;
    rows.roped_stride = int64_t{args.num_query_heads} * head_dim;
    rows.pools =
        pools_queries
            ? args.pooled_queries + (tile_index * args.num_query_heads + head) *
                                        kNumPools * head_dim
            : nullptr;
    PrepareHead(rows);
  }

  const int64_t page = batch.sequences[tile.sequence].page_table[tile.block];
  T* const pages = static_cast<T*>(kv.pages);
  rows.in = static_cast<const T*>(args.keys) + row * args.key_row_stride +
            kv_head * head_dim;
  rows.in_stride = args.key_row_stride;
  rows.roped = pages + kv.KeyOffset(page, kv_head) + tile.offset * head_dim;
  rows.roped_stride = head_dim;
  rows.pools = kv.pooled_keys + kv.PoolOffset(page, kv_head, kPoolMax);
  rows.starts_pools = tile.offset == 0;
  PrepareHead(rows);

  const T* values = static_cast<const T*>(args.values) +
                    row * args.value_row_stride + kv_head * head_dim;
  T* out = pages + kv.ValueOffset(page, kv_head) + tile.offset * head_dim;
  for (int64_t r = 0; r < tile.num_rows; ++r) {
    std::memcpy(out, values, head_dim * sizeof(T));
    values += args.value_row_stride;
    out += head_dim;
  }
}

void PrepareGroupFloat(const QkPrepareArgs& args, int64_t tile, int64_t head) {
  PrepareGroup<float>(args, tile, head);
}
void PrepareGroupBFloat16(const QkPrepareArgs& args, int64_t tile,
                          int64_t head) {
  PrepareGroup<BFloat16>(args, tile, head);
}

}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seer {

HWY_EXPORT(PrepareGroupFloat);
HWY_EXPORT(PrepareGroupBFloat16);

void QkPrepareCpu(const QkPrepareArgs& args, Executor& executor) {
  const auto prepare = args.dtype == DType::kFloat32
                           ? HWY_DYNAMIC_DISPATCH(PrepareGroupFloat)
                           : HWY_DYNAMIC_DISPATCH(PrepareGroupBFloat16);
  const int64_t num_heads = args.kv.num_kv_heads;
  const int64_t num_tiles = args.batch.num_tiles;
  // A tile is an item of useful size; few tiles are split by head.
  if (num_tiles >= 4 * executor.num_threads()) {
    executor.ParallelFor(num_tiles, [&](int64_t tile) {
      for (int64_t head = 0; head < num_heads; ++head) {
        prepare(args, tile, head);
      }
    });
    return;
  }
  executor.ParallelFor(num_tiles * num_heads, [&](int64_t item) {
    prepare(args, item / num_heads, item % num_heads);
  });
}

}  // namespace seer
#endif  // HWY_ONCE
