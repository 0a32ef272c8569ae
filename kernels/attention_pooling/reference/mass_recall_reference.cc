#include "kernels/attention_pooling/reference/mass_recall_reference.h"

namespace seer {

void MassRecallReference(const MassRecallArgs& args, Executor& executor) {
  const int32_t num_heads = args.num_query_heads;
  executor.ParallelFor(args.batch.num_tiles, [&](int64_t t) {
    const int32_t visible = VisibleBlocks(args.batch.tiles[t]);
    for (int32_t h = 0; h < num_heads; ++h) {
      const int64_t row = t * num_heads + h;
      const float* mass = args.mass + row * args.row_len;
      const uint64_t* bits = args.sets.Bits(t, h);
      const bool all = args.sets.counts[row] == visible;
      double sum = 0.0;
      for (int32_t j = 0; j < visible; ++j) {
        if (all || (bits[j / 64] >> (j % 64) & 1)) sum += mass[j];
      }
      args.recall[row] = static_cast<float>(sum);
    }
  });
}

}  // namespace seer
