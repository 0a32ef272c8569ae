#include "kernels/attention/reference/attention_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/thread/executor.h"

namespace seer {
namespace {

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

template <typename T>
void AttendRow(const AttentionArgs& args, int32_t tile_index,
               int32_t row_in_tile, int32_t head) {
  const Tile& tile = args.batch.tiles[tile_index];
  const int32_t* pages = args.batch.sequences[tile.sequence].page_table;
  const T* elements = static_cast<const T*>(args.kv.pages);
  const int32_t head_dim = args.kv.head_dim;
  const int32_t kv_head = head / (args.num_query_heads / args.kv.num_kv_heads);
  const int64_t row_head =
      int64_t{tile.row_begin + row_in_tile} * args.num_query_heads + head;
  const T* query = static_cast<const T*>(args.queries) + row_head * head_dim;

  // Scores of the keys read, and each one's value.
  std::vector<double> scores;
  std::vector<const T*> values;
  for (int32_t block = 0; block <= tile.block; ++block) {
    if (!ReadsBlock(args, tile_index, head, block)) continue;
    const T* keys = elements + args.kv.KeyOffset(pages[block], kv_head);
    const T* page_values =
        elements + args.kv.ValueOffset(pages[block], kv_head);
    for (int32_t c = 0; c < kBlockSize; ++c) {
      if (block == tile.block && c > tile.offset + row_in_tile) break;
      double dot = 0.0;
      for (int32_t d = 0; d < head_dim; ++d) {
        dot += double{static_cast<float>(query[d])} *
               static_cast<float>(keys[c * head_dim + d]);
      }
      scores.push_back(dot * args.scale);
      values.push_back(page_values + c * head_dim);
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
      out[d] += p * static_cast<float>(values[i][d]);
    }
  }
  if (args.out != nullptr) {
    T* const out_row = static_cast<T*>(args.out) + row_head * head_dim;
    for (int32_t d = 0; d < head_dim; ++d) {
      out_row[d] = T(static_cast<float>(scores.empty() ? 0.0 : out[d] / sum));
    }
  }
  if (args.log_sum_exp != nullptr) {
    args.log_sum_exp[row_head] = static_cast<float>(max + std::log(sum));
  }
}

template <typename T>
void AttendTile(const AttentionArgs& args, int32_t tile) {
  for (int32_t i = 0; i < args.batch.tiles[tile].num_rows; ++i) {
    for (int32_t head = 0; head < args.num_query_heads; ++head) {
      AttendRow<T>(args, tile, i, head);
    }
  }
}

}  // namespace

void AttendReference(const AttentionArgs& args, DeviceStream stream) {
  InlineExecutor calling_thread;
  Executor& executor =
      stream.executor != nullptr ? *stream.executor : calling_thread;
  executor.ParallelFor(args.batch.num_tiles, [&](int64_t t) {
    const int32_t tile = static_cast<int32_t>(t);
    if (args.dtype == DType::kFloat32) {
      AttendTile<float>(args, tile);
    } else {
      AttendTile<BFloat16>(args, tile);
    }
  });
}

}  // namespace seer
