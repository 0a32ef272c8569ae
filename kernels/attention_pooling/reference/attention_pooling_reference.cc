#include "kernels/attention_pooling/reference/attention_pooling_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/thread/executor.h"
#include "kernels/attention/reference/attention_reference.h"

namespace seer {
namespace {

// The probabilities of one row's keys, up to its own position.
template <typename T>
std::vector<double> Probabilities(const AttentionArgs& args, const Tile& tile,
                                  int32_t row_in_tile, int32_t head) {
  const int32_t* pages = args.batch.sequences[tile.sequence].page_table;
  const int32_t head_dim = args.kv.head_dim;
  const int32_t kv_head = head / (args.num_query_heads / args.kv.num_kv_heads);
  const T* query =
      static_cast<const T*>(args.queries) +
      (int64_t{tile.row_begin + row_in_tile} * args.num_query_heads + head) *
          head_dim;
  const int32_t position = tile.block * kBlockSize + row_in_tile;
  std::vector<double> row(position + 1);
  double max = -std::numeric_limits<double>::infinity();
  for (int32_t c = 0; c <= position; ++c) {
    const T* key = static_cast<const T*>(args.kv.pages) +
                   args.kv.KeyOffset(pages[c / kBlockSize], kv_head) +
                   c % kBlockSize * head_dim;
    double dot = 0.0;
    for (int32_t d = 0; d < head_dim; ++d) {
      dot += double{static_cast<float>(query[d])} * static_cast<float>(key[d]);
    }
    row[c] = dot * args.scale;
    max = std::max(max, row[c]);
  }
  double sum = 0.0;
  for (double& p : row) {
    p = std::exp(p - max);
    sum += p;
  }
  for (double& p : row) p /= sum;
  return row;
}

template <typename T>
void PoolTile(const AttentionPoolingArgs& args, int32_t index, int32_t head) {
  const Tile& tile = args.attention.batch.tiles[index];
  std::vector<double> max(VisibleBlocks(tile), 0.0);
  std::vector<double> mass(VisibleBlocks(tile), 0.0);
  for (int32_t r = 0; r < tile.num_rows; ++r) {
    const std::vector<double> row =
        Probabilities<T>(args.attention, tile, r, head);
    for (size_t c = 0; c < row.size(); ++c) {
      max[c / kBlockSize] = std::max(max[c / kBlockSize], row[c]);
      mass[c / kBlockSize] += row[c] / tile.num_rows;
    }
  }
  double max_sum = 0.0;
  for (const double m : max) max_sum += m;
  const int64_t at =
      (int64_t{index} * args.attention.num_query_heads + head) * args.row_len;
  for (int32_t j = 0; j < VisibleBlocks(tile); ++j) {
    if (args.max_target != nullptr) {
      args.max_target[at + j] = static_cast<float>(max[j] / max_sum);
    }
    if (args.mass_target != nullptr) {
      args.mass_target[at + j] = static_cast<float>(mass[j]);
    }
  }
}

}  // namespace

void PoolAttentionReference(const AttentionPoolingArgs& args,
                            DeviceStream stream) {
  AttendReference(args.attention, stream);
  const int32_t num_heads = args.attention.num_query_heads;
  ExecutorOf(stream).ParallelFor(
      int64_t{args.attention.batch.num_tiles} * num_heads, [&](int64_t i) {
        const int32_t tile = static_cast<int32_t>(i / num_heads);
        const int32_t head = static_cast<int32_t>(i % num_heads);
        if (args.attention.dtype == DType::kFloat32) {
          PoolTile<float>(args, tile, head);
        } else {
          PoolTile<BFloat16>(args, tile, head);
        }
      });
}

}  // namespace seer
