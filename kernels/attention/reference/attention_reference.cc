#include "kernels/attention/reference/attention_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/executor.h"

namespace seer {
namespace {

double Get(DType dtype, const void* array, int64_t i) {
  return dtype == DType::kFloat32
             ? static_cast<const float*>(array)[i]
             : static_cast<float>(static_cast<const BFloat16*>(array)[i]);
}

void Set(DType dtype, void* array, int64_t i, double value) {
  if (dtype == DType::kFloat32) {
    static_cast<float*>(array)[i] = static_cast<float>(value);
  } else {
    static_cast<BFloat16*>(array)[i] = BFloat16(static_cast<float>(value));
  }
}

bool ReadsBlock(const AttentionArgs& args, int32_t tile, int32_t head,
                int32_t block) {
  if (tile >= args.batch.num_prompt_tiles) return true;
  if (args.sets.bits == nullptr) return true;
  if (args.sets.counts[args.sets.Row(tile, head)] ==
      VisibleBlocks(args.batch.tiles[tile])) {
    return true;
  }
  return (args.sets.Bits(tile, head)[block / 64] >> (block % 64)) & 1;
}

void AttendRow(const AttentionArgs& args, int32_t tile_index,
               int32_t row_in_tile, int32_t head) {
  const Tile& tile = args.batch.tiles[tile_index];
  const int32_t* pages = args.batch.sequences[tile.sequence].page_table;
  const PagedKv& kv = args.kv;
  const int32_t head_dim = kv.head_dim;
  const int32_t kv_head = head / (args.num_query_heads / kv.num_kv_heads);
  const int64_t row = tile.row_begin + row_in_tile;
  const int64_t row_offset = (row * args.num_query_heads + head) * head_dim;

  // Scores of the keys read, and the element offset of each one's value.
  std::vector<double> scores;
  std::vector<int64_t> values;
  for (int32_t block = 0; block <= tile.block; ++block) {
    if (!ReadsBlock(args, tile_index, head, block)) continue;
    const int64_t page = pages[block];
    for (int32_t key = 0; key < kBlockSize; ++key) {
      if (block == tile.block && key > tile.offset + row_in_tile) break;
      const int64_t offset =
          kv.KeyOffset(page, kv_head) + int64_t{key} * head_dim;
      double dot = 0.0;
      for (int32_t d = 0; d < head_dim; ++d) {
        dot += Get(args.dtype, args.queries, row_offset + d) *
               Get(args.dtype, kv.pages, offset + d);
      }
      scores.push_back(dot * args.scale);
      values.push_back(kv.ValueOffset(page, kv_head) + int64_t{key} * head_dim);
    }
  }

  double max = -std::numeric_limits<double>::infinity();
  for (const double s : scores) max = std::max(max, s);
  double sum = 0.0;
  std::vector<double> out(head_dim, 0.0);
  for (size_t i = 0; i < scores.size(); ++i) {
    const double p = std::exp(scores[i] - max);
    sum += p;
    for (int32_t d = 0; d < head_dim; ++d) {
      out[d] += p * Get(args.dtype, kv.pages, values[i] + d);
    }
  }
  for (int32_t d = 0; d < head_dim; ++d) {
    Set(args.dtype, args.out, row_offset + d, sum > 0.0 ? out[d] / sum : 0.0);
  }
  if (args.log_sum_exp != nullptr) {
    args.log_sum_exp[row * args.num_query_heads + head] =
        static_cast<float>(max + std::log(sum));
  }
}

}  // namespace

void AttendReference(const AttentionArgs& args, DeviceStream stream) {
  InlineExecutor calling_thread;
  Executor& executor =
      stream.executor != nullptr ? *stream.executor : calling_thread;
  executor.ParallelFor(args.batch.num_tiles, [&](int64_t t) {
    const int32_t tile = static_cast<int32_t>(t);
    for (int32_t i = 0; i < args.batch.tiles[tile].num_rows; ++i) {
      for (int32_t head = 0; head < args.num_query_heads; ++head) {
        AttendRow(args, tile, i, head);
      }
    }
  });
}

}  // namespace seer
