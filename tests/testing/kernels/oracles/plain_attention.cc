#include "tests/testing/kernels/oracles/plain_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace seer {
namespace {

float Round(float x, const float* /*T*/) { return x; }
float Round(float x, const BFloat16* /*T*/) {
  return static_cast<float>(BFloat16(x));
}

template <typename T>
float Dot(const T* a, const T* b, int32_t n) {
  float sum = 0.0f;
  for (int32_t d = 0; d < n; ++d) {
    sum += static_cast<float>(a[d]) * static_cast<float>(b[d]);
  }
  return sum;
}

// The keys that one row reads, as rows of the pages: all of a block's up to
// the row's position.
template <typename T>
struct RowKeys {
  std::vector<const T*> keys, values;
};

template <typename T>
RowKeys<T> KeysOf(const AttentionArgs& args, int32_t tile_index, int32_t row,
                  int32_t head) {
  const Tile& tile = args.batch.tiles[tile_index];
  const int32_t* pages = args.batch.sequences[tile.sequence].page_table;
  const int32_t kv_head = head * args.kv.num_kv_heads / args.num_query_heads;
  const bool chooses =
      tile_index < args.batch.num_prompt_tiles && args.sets.bits != nullptr &&
      args.sets.counts[args.sets.Row(tile_index, head)] != VisibleBlocks(tile);
  RowKeys<T> result;
  const int32_t position = tile.block * kBlockSize + tile.offset + row;
  for (int32_t c = 0; c <= position; ++c) {
    const int32_t block = c / kBlockSize;
    if (chooses &&
        (args.sets.Bits(tile_index, head)[block / 64] >> (block % 64)) % 2 ==
            0) {
      continue;
    }
    const T* elements = static_cast<const T*>(args.kv.pages);
    const int64_t token = int64_t{c % kBlockSize} * args.kv.head_dim;
    result.keys.push_back(elements + args.kv.KeyOffset(pages[block], kv_head) +
                          token);
    result.values.push_back(elements +
                            args.kv.ValueOffset(pages[block], kv_head) + token);
  }
  return result;
}

// The probabilities of a row's keys, in order, and the row's log-sum-exp.
template <typename T>
std::vector<float> Probabilities(const AttentionArgs& args,
                                 const RowKeys<T>& row, int64_t row_head,
                                 float* log_sum_exp) {
  const int32_t dim = args.kv.head_dim;
  const T* query = static_cast<const T*>(args.queries) + row_head * dim;
  const T* const type = nullptr;
  std::vector<float> scores;
  float max = -std::numeric_limits<float>::infinity();
  for (const T* key : row.keys) {
    scores.push_back(Round(Dot(query, key, dim) * args.scale, type));
    max = std::max(max, scores.back());
  }
  float sum = 0.0f;
  for (float& s : scores) {
    s = std::exp(s - max);
    sum += s;
  }
  for (float& s : scores) s = Round(s / sum, type);
  *log_sum_exp = max + std::log(sum);
  return scores;
}

template <typename T>
void AttendRow(const AttentionArgs& args, const RowKeys<T>& row,
               int64_t row_head) {
  const int32_t dim = args.kv.head_dim;
  float log_sum_exp = 0.0f;
  const std::vector<float> probabilities =
      Probabilities(args, row, row_head, &log_sum_exp);
  std::vector<float> sums(dim, 0.0f);
  for (size_t i = 0; i < probabilities.size(); ++i) {
    for (int32_t d = 0; d < dim; ++d) {
      sums[d] += probabilities[i] * static_cast<float>(row.values[i][d]);
    }
  }
  T* out = static_cast<T*>(args.out) + row_head * dim;
  for (int32_t d = 0; d < dim; ++d) out[d] = T(sums[d]);
  if (args.log_sum_exp != nullptr) args.log_sum_exp[row_head] = log_sum_exp;
}

template <typename T>
void AttendRows(const AttentionArgs& args) {
  for (int32_t t = 0; t < args.batch.num_tiles; ++t) {
    const Tile& tile = args.batch.tiles[t];
    for (int32_t r = 0; r < tile.num_rows; ++r) {
      for (int32_t h = 0; h < args.num_query_heads; ++h) {
        const int64_t row_head =
            int64_t{tile.row_begin + r} * args.num_query_heads + h;
        AttendRow(args, KeysOf<T>(args, t, r, h), row_head);
      }
    }
  }
}

template <typename T>
std::vector<float> RowProbabilities(const AttentionArgs& args, int32_t tile,
                                    int32_t row, int32_t head) {
  const int64_t row_head =
      int64_t{args.batch.tiles[tile].row_begin + row} * args.num_query_heads +
      head;
  float log_sum_exp = 0.0f;
  return Probabilities(args, KeysOf<T>(args, tile, row, head), row_head,
                       &log_sum_exp);
}

}  // namespace

std::vector<float> PlainProbabilities(const AttentionArgs& args, int32_t tile,
                                      int32_t row, int32_t head) {
  return args.dtype == DType::kFloat32
             ? RowProbabilities<float>(args, tile, row, head)
             : RowProbabilities<BFloat16>(args, tile, row, head);
}

void AttendPlainly(const AttentionArgs& args) {
  if (args.dtype == DType::kFloat32) {
    AttendRows<float>(args);
  } else {
    AttendRows<BFloat16>(args);
  }
}

}  // namespace seer
