#include "kernels/gate_score/cpu/gate_entries.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/gate_score/cpu/gate_tiling.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gate_score/cpu/gate_entries.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {

// y [kGateTiles, D] = x [kGateTiles, num_inputs] @ w [num_inputs, D]; each
// element sums in order of the inputs, whatever the vector's width.
template <class D, typename T>
HWY_INLINE void Project(D d, const float* x, int64_t num_inputs, const T* w,
                        int64_t head_dim, float* y) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < head_dim; c += lanes) {
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    auto s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    for (int64_t i = 0; i < num_inputs; ++i) {
      const auto row = LoadFloats(d, w + i * head_dim + c);
      const float* const in = x + i;
      s0 = hn::MulAdd(hn::Set(d, in[0 * num_inputs]), row, s0);
      s1 = hn::MulAdd(hn::Set(d, in[1 * num_inputs]), row, s1);
      s2 = hn::MulAdd(hn::Set(d, in[2 * num_inputs]), row, s2);
      s3 = hn::MulAdd(hn::Set(d, in[3 * num_inputs]), row, s3);
      s4 = hn::MulAdd(hn::Set(d, in[4 * num_inputs]), row, s4);
      s5 = hn::MulAdd(hn::Set(d, in[5 * num_inputs]), row, s5);
      s6 = hn::MulAdd(hn::Set(d, in[6 * num_inputs]), row, s6);
      s7 = hn::MulAdd(hn::Set(d, in[7 * num_inputs]), row, s7);
    }
    float* const out = y + c;
    hn::StoreU(RoundFloats(d, s0, w), d, out + 0 * head_dim);
    hn::StoreU(RoundFloats(d, s1, w), d, out + 1 * head_dim);
    hn::StoreU(RoundFloats(d, s2, w), d, out + 2 * head_dim);
    hn::StoreU(RoundFloats(d, s3, w), d, out + 3 * head_dim);
    hn::StoreU(RoundFloats(d, s4, w), d, out + 4 * head_dim);
    hn::StoreU(RoundFloats(d, s5, w), d, out + 5 * head_dim);
    hn::StoreU(RoundFloats(d, s6, w), d, out + 6 * head_dim);
    hn::StoreU(RoundFloats(d, s7, w), d, out + 7 * head_dim);
  }
}

// Rotates y [D] in place to the position of the block's first token.
template <class D, typename T>
HWY_INLINE void Rotate(D d, const RopeTable& rope, int64_t block, const T* tag,
                       float* y) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t half = rope.head_dim / 2;
  const float* const cos_row = rope.cos + block * kBlockSize * half;
  const float* const sin_row = rope.sin + block * kBlockSize * half;
  for (int64_t i = 0; i < half; i += lanes) {
    const auto cos = hn::LoadU(d, cos_row + i);
    const auto sin = hn::LoadU(d, sin_row + i);
    const auto low = hn::LoadU(d, y + i);
    const auto high = hn::LoadU(d, y + i + half);
    const auto roped_low = hn::Sub(hn::Mul(low, cos), hn::Mul(high, sin));
    const auto roped_high = hn::Add(hn::Mul(high, cos), hn::Mul(low, sin));
    hn::StoreU(RoundFloats(d, roped_low, tag), d, y + i);
    hn::StoreU(RoundFloats(d, roped_high, tag), d, y + i + half);
  }
}

// out = value / divisor of each channel, as T stores it; divisor 1 is exact.
template <class D, typename T>
HWY_INLINE void CopyPool(D d, const float* pool, float divisor,
                         int64_t head_dim, const T* tag, float* out) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto divisors = hn::Set(d, divisor);
  for (int64_t c = 0; c < head_dim; c += lanes) {
    const auto value = hn::Div(hn::LoadU(d, pool + c), divisors);
    hn::StoreU(RoundFloats(d, value, tag), d, out + c);
  }
}

// What the entries of one side (queries or keys) of one head are made from.
template <typename T>
struct EntrySource {
  const T* weights = nullptr;  // [num_inputs, D] of the head, or null
  PoolSet pools;
  bool is_mean_pool = false;
  int64_t head_dim = 0;

  int64_t num_inputs() const {
    return is_mean_pool ? head_dim : pools.size() * head_dim;
  }
};

// The pooled inputs of one block: pools [kNumPools, D] of num_tokens tokens.
template <class D, typename T>
HWY_INLINE void FillInputs(D d, const EntrySource<T>& source,
                           const float* pools, int64_t num_tokens, float* x) {
  const int64_t head_dim = source.head_dim;
  const float tokens = static_cast<float>(num_tokens);
  const T* const tag = nullptr;
  if (source.is_mean_pool) {
    CopyPool(d, pools + kPoolRopedSum * head_dim, tokens, head_dim, tag, x);
    return;
  }
  if (source.pools.max) {
    CopyPool(d, pools + kPoolMax * head_dim, 1.0f, head_dim, tag, x);
    x += head_dim;
  }
  if (source.pools.min) {
    CopyPool(d, pools + kPoolMin * head_dim, 1.0f, head_dim, tag, x);
    x += head_dim;
  }
  if (source.pools.avg) {
    CopyPool(d, pools + kPoolSum * head_dim, tokens, head_dim, tag, x);
  }
}

// Entries of up to kGateTiles blocks of one head: pools[t], tiles[t] ->
// entries [kGateTiles, D].
template <typename T>
void FillEntries(const EntrySource<T>& source, const RopeTable& rope,
                 const float* const* pools, const Tile* const* tiles,
                 int64_t num_tiles, float* entries) {
  const int64_t head_dim = source.head_dim;
  const int64_t num_inputs = source.num_inputs();
  std::vector<float> inputs(kGateTiles * num_inputs, 0.0f);
  WithLanesDividing(head_dim, [&](auto d) HWY_ATTR {
    for (int64_t t = 0; t < num_tiles; ++t) {
      FillInputs(d, source, pools[t], tiles[t]->num_rows,
                 inputs.data() + t * num_inputs);
    }
    if (source.weights != nullptr) {
      Project(d, inputs.data(), num_inputs, source.weights, head_dim, entries);
    } else {
      std::copy_n(inputs.data(), num_tiles * head_dim, entries);
    }
  });
  if (source.is_mean_pool) return;
  WithLanesDividing(head_dim / 2, [&](auto d) HWY_ATTR {
    for (int64_t t = 0; t < num_tiles; ++t) {
      Rotate(d, rope, tiles[t]->block, static_cast<const T*>(nullptr),
             entries + t * head_dim);
    }
  });
}

// Scored tiles [begin, begin + kGateTiles) and one head: a query head where
// head < Hq, else the entry head (head - Hq) of the keys.
template <typename T>
void FillGroup(const GateScoreArgs& args, int64_t begin, int64_t head,
               float* query_entries) {
  const int64_t head_dim = args.kv.head_dim;
  const int64_t num_tiles =
      std::min<int64_t>(kGateTiles, args.num_scored_tiles - begin);
  const bool is_query = head < args.num_query_heads;
  const int64_t entry_head = head - args.num_query_heads;
  const int64_t kv_head =
      entry_head / (args.num_entry_heads / args.kv.num_kv_heads);

  EntrySource<T> source;
  source.pools = is_query ? args.gate.query_pools : args.gate.key_pools;
  source.is_mean_pool = args.gate.mean_pool;
  source.head_dim = head_dim;
  const void* const weights =
      is_query ? args.gate.linear_q : args.gate.linear_k;
  if (!args.gate.mean_pool && weights != nullptr) {
    source.weights =
        static_cast<const T*>(weights) +
        (is_query ? head : entry_head) * source.num_inputs() * head_dim;
  }

  const Tile* tiles[kGateTiles];
  const float* pools[kGateTiles];
  int64_t pages[kGateTiles];
  for (int64_t t = 0; t < num_tiles; ++t) {
    const int64_t index = args.tile_indices[begin + t];
    tiles[t] = &args.batch.tiles[index];
    pages[t] =
        args.batch.sequences[tiles[t]->sequence].page_table[tiles[t]->block];
    pools[t] =
        is_query ? args.pooled_queries + (index * args.num_query_heads + head) *
                                             kNumPools * head_dim
                 : args.kv.pooled_keys +
                       args.kv.PoolOffset(pages[t], kv_head, kPoolMax);
  }
  std::vector<float> entries(kGateTiles * head_dim);
  FillEntries(source, args.rope, pools, tiles, num_tiles, entries.data());
  for (int64_t t = 0; t < num_tiles; ++t) {
    const float* const entry = entries.data() + t * head_dim;
    if (is_query) {
      std::copy_n(entry, head_dim,
                  query_entries +
                      ((begin + t) * args.num_query_heads + head) * head_dim);
      continue;
    }
    T* const out = static_cast<T*>(args.key_entries) +
                   (pages[t] * args.num_entry_heads + entry_head) * head_dim;
    std::transform(entry, entry + head_dim, out,
                   [](float value) { return T(value); });
  }
}

void FillGroupFloat(const GateScoreArgs& args, int64_t begin, int64_t head,
                    float* query_entries) {
  FillGroup<float>(args, begin, head, query_entries);
}
void FillGroupBFloat16(const GateScoreArgs& args, int64_t begin, int64_t head,
                       float* query_entries) {
  FillGroup<BFloat16>(args, begin, head, query_entries);
}

}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seer {

HWY_EXPORT(FillGroupFloat);
HWY_EXPORT(FillGroupBFloat16);

void ComputeGateEntries(const GateScoreArgs& args, float* query_entries,
                        Executor& executor) {
  const auto fill = args.dtype == DType::kFloat32
                        ? HWY_DYNAMIC_DISPATCH(FillGroupFloat)
                        : HWY_DYNAMIC_DISPATCH(FillGroupBFloat16);
  const int64_t num_groups =
      (args.num_scored_tiles + kGateTiles - 1) / kGateTiles;
  const int64_t num_heads = args.num_query_heads + args.num_entry_heads;
  executor.ParallelFor(num_groups * num_heads, [&](int64_t item) {
    fill(args, item / num_heads * kGateTiles, item % num_heads, query_entries);
  });
}

}  // namespace seer
#endif  // HWY_ONCE
