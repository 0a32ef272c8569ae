#include "tests/testing/kernels/oracles/plain_pooling.h"

#include <algorithm>
#include <vector>

#include "tests/testing/kernels/oracles/plain_attention.h"

namespace seer {
namespace {

void PoolTile(const AttentionPoolingArgs& args, int32_t index, int32_t head) {
  const Tile& tile = args.attention.batch.tiles[index];
  const int32_t visible = VisibleBlocks(tile);
  std::vector<float> max(visible, 0.0f), mass(visible, 0.0f);
  for (int32_t r = 0; r < tile.num_rows; ++r) {
    const std::vector<float> row =
        PlainProbabilities(args.attention, index, r, head);
    for (size_t c = 0; c < row.size(); ++c) {
      max[c / kBlockSize] = std::max(max[c / kBlockSize], row[c]);
      mass[c / kBlockSize] += row[c];
    }
  }
  float sum = 0.0f;
  for (const float m : max) sum += m;
  const int64_t at =
      (int64_t{index} * args.attention.num_query_heads + head) * args.row_len;
  for (int32_t j = 0; j < visible; ++j) {
    if (args.max_target != nullptr) args.max_target[at + j] = max[j] / sum;
    if (args.mass_target != nullptr) {
      args.mass_target[at + j] = mass[j] / static_cast<float>(tile.num_rows);
    }
  }
}

}  // namespace

void PoolPlainly(const AttentionPoolingArgs& args) {
  for (int32_t t = 0; t < args.attention.batch.num_tiles; ++t) {
    for (int32_t h = 0; h < args.attention.num_query_heads; ++h) {
      PoolTile(args, t, h);
    }
  }
}

}  // namespace seer
