#include "kernels/gate_score/reference/gate_score_reference.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace seer {
namespace {

using Vector = std::vector<float>;

// One gate's scores, with T as the model's dtype. Every method follows one
// sentence of the gate's definition.
template <typename T>
class Scorer {
 public:
  explicit Scorer(const GateScoreArgs& args)
      : args_(args), head_dim_(args.kv.head_dim) {}

  void Score() const {
    for (int32_t i = 0; i < args_.num_scored_tiles; ++i) {
      const int64_t tile = args_.tile_indices[i];
      for (int64_t e = 0; e < args_.num_entry_heads; ++e) {
        const Vector entry = KeyEntry(tile, e);
        T* const out = StoredEntry(Page(tile, Block(tile)), e);
        for (int64_t c = 0; c < head_dim_; ++c) out[c] = T(entry[c]);
      }
    }
    for (int32_t i = 0; i < args_.num_scored_tiles; ++i) {
      for (int64_t h = 0; h < args_.num_query_heads; ++h) {
        ScoreRow(args_.tile_indices[i], h);
      }
    }
  }

 private:
  const Tile& TileAt(int64_t tile) const { return args_.batch.tiles[tile]; }
  int64_t Block(int64_t tile) const { return TileAt(tile).block; }
  int64_t Page(int64_t tile, int64_t block) const {
    return args_.batch.sequences[TileAt(tile).sequence].page_table[block];
  }
  T* StoredEntry(int64_t page, int64_t entry_head) const {
    return static_cast<T*>(args_.key_entries) +
           (page * args_.num_entry_heads + entry_head) * head_dim_;
  }

  static float Rounded(float value) { return static_cast<float>(T(value)); }

  // The pools of the set, concatenated; averages over `num_tokens` tokens.
  Vector Pooled(const float* pools, const PoolSet& set,
                int64_t num_tokens) const {
    Vector x;
    for (int64_t c = 0; set.max && c < head_dim_; ++c) {
      x.push_back(Rounded(pools[kPoolMax * head_dim_ + c]));
    }
    for (int64_t c = 0; set.min && c < head_dim_; ++c) {
      x.push_back(Rounded(pools[kPoolMin * head_dim_ + c]));
    }
    for (int64_t c = 0; set.avg && c < head_dim_; ++c) {
      x.push_back(Rounded(pools[kPoolSum * head_dim_ + c] /
                          static_cast<float>(num_tokens)));
    }
    return x;
  }

  Vector RopedMean(const float* pools, int64_t num_tokens) const {
    Vector x(head_dim_);
    for (int64_t c = 0; c < head_dim_; ++c) {
      x[c] = Rounded(pools[kPoolRopedSum * head_dim_ + c] /
                     static_cast<float>(num_tokens));
    }
    return x;
  }

  // x @ W[head], W [heads, |x|, D].
  Vector Projected(const Vector& x, const void* weights, int64_t head) const {
    const int64_t num_inputs = static_cast<int64_t>(x.size());
    const T* const w =
        static_cast<const T*>(weights) + head * num_inputs * head_dim_;
    Vector y(head_dim_);
    for (int64_t c = 0; c < head_dim_; ++c) {
      float sum = 0.0f;
      for (int64_t i = 0; i < num_inputs; ++i) {
        sum += x[i] * static_cast<float>(w[i * head_dim_ + c]);
      }
      y[c] = Rounded(sum);
    }
    return y;
  }

  // Half-split rotation to the position of the block's first token.
  Vector Rotated(const Vector& x, int64_t block) const {
    const int64_t half = head_dim_ / 2;
    const int64_t row = block * kBlockSize * half;
    Vector y(head_dim_);
    for (int64_t i = 0; i < half; ++i) {
      const float cos = args_.rope.cos[row + i];
      const float sin = args_.rope.sin[row + i];
      y[i] = Rounded(x[i] * cos - x[i + half] * sin);
      y[i + half] = Rounded(x[i + half] * cos + x[i] * sin);
    }
    return y;
  }

  Vector KeyEntry(int64_t tile, int64_t entry_head) const {
    const int64_t entries_per_kv_head =
        args_.num_entry_heads / args_.kv.num_kv_heads;
    const int64_t page = Page(tile, Block(tile));
    const float* const pools =
        args_.kv.pooled_keys +
        args_.kv.PoolOffset(page, entry_head / entries_per_kv_head, kPoolMax);
    const int64_t num_tokens = TileAt(tile).num_rows;
    if (args_.gate.mean_pool) return RopedMean(pools, num_tokens);
    const Vector x = Pooled(pools, args_.gate.key_pools, num_tokens);
    return Rotated(Projected(x, args_.gate.linear_k, entry_head), Block(tile));
  }

  Vector QueryEntry(int64_t tile, int64_t head) const {
    const float* const pools =
        args_.pooled_queries +
        (tile * args_.num_query_heads + head) * kNumPools * head_dim_;
    const int64_t num_tokens = TileAt(tile).num_rows;
    if (args_.gate.mean_pool) return RopedMean(pools, num_tokens);
    Vector x = Pooled(pools, args_.gate.query_pools, num_tokens);
    if (args_.gate.linear_q != nullptr) {
      x = Projected(x, args_.gate.linear_q, head);
    }
    return Rotated(x, Block(tile));
  }

  void ScoreRow(int64_t tile, int64_t head) const {
    const int64_t heads_per_entry =
        args_.num_query_heads / args_.num_entry_heads;
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim_));
    const Vector query = QueryEntry(tile, head);
    float* const logits = args_.logits + (tile * args_.num_query_heads + head) *
                                             args_.logits_row_len;
    for (int64_t j = 0; j <= Block(tile); ++j) {
      const T* const key = StoredEntry(Page(tile, j), head / heads_per_entry);
      float sum = 0.0f;
      for (int64_t c = 0; c < head_dim_; ++c) {
        sum += query[c] * static_cast<float>(key[c]);
      }
      logits[j] = sum * scale;
    }
  }

  const GateScoreArgs& args_;
  const int64_t head_dim_;
};

}  // namespace

void GateScoreReference(const GateScoreArgs& args) {
  args.dtype == DType::kFloat32 ? Scorer<float>(args).Score()
                                : Scorer<BFloat16>(args).Score();
}

}  // namespace seer
