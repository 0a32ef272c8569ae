// How much of the true attention block sets hold.
#ifndef SEER_KERNELS_ATTENTION_POOLING_MASS_RECALL_H_
#define SEER_KERNELS_ATTENTION_POOLING_MASS_RECALL_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/block_sets.h"
#include "kernels/device.h"
#include "kernels/ragged_batch.h"

namespace seer {

// recall[i, h] = sum over blocks j in the set of (tile i, head h) of
// mass[i, h, j]: the mean share of a row's probability that the set holds.
// Apart from PoolAttention, since an oracle's sets are chosen by its targets,
// and since one mass serves many sets: beside the attention it costs nothing.
struct MassRecallArgs {
  RaggedBatch batch;  // whose tiles are all prompt tiles
  int32_t num_query_heads = 0;
  const float* mass = nullptr;  // PoolAttention's mass_target of the same batch
  int32_t row_len = 0;          // AttentionPoolingArgs::row_len
  BlockSets sets;               // not null; of the same batch
  float* recall = nullptr;      // out [num_tiles, Hq], 0..1 but for rounding
};

// A tile's result does not depend, in any bit, on the rest of the batch.
// INVALID_ARGUMENT: shapes disagree. kCuda does not look into what is in device
// memory.
absl::Status MassRecall(Backend backend, const MassRecallArgs& args,
                        DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_MASS_RECALL_H_
