// Dense causal attention that also returns what a gate is calibrated on: how
// much of each row's probability each key block holds, pooled over the rows of
// a tile.
#ifndef SEER_KERNELS_ATTENTION_POOLING_ATTENTION_POOLING_H_
#define SEER_KERNELS_ATTENTION_POOLING_ATTENTION_POOLING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/attention/attention.h"
#include "kernels/device.h"

namespace seer {

// With P[r, c] the softmax over keys c <= position(r) of Attend, for tile i,
// query head h and key block j <= i:
//   max:  M[i, h, j] / sum over j of M[i, h, j], where M is the largest P[r, c]
//         of the tile's rows and the block's keys (the ground truth of
//         SeerAttention, arXiv 2410.13276, in fp32)
//   mass: the mean over the tile's rows of the sum over the block's keys of
//         P[r, c]
// Each sums to 1 over j. Only rows present count.
//
// A range of a prompt's tiles is a batch of its own: batch.tiles may be any of
// the tiles of its sequences, in order, while the sequences, queries and out
// stay those of all rows. Memory is that of the range: never that of a prompt
// squared.
struct AttentionPoolingArgs {
  // The attention: `sets` are null, every tile is a prompt tile, and `plan` is
  // of this batch. out may be null: nothing is saved but the memory.
  AttentionArgs attention;

  // Out, fp32, each null if it is not wanted: the target of (tile, head, j) at
  // (tile * Hq + head) * row_len + j for j <= tile.block; the tile's index is
  // that in batch.tiles. Entries past the visible blocks are not written. The
  // shape is that of gate logits (kernels/gate_score/gate_score.h): targets are
  // an oracle's logits where blocks are taken by rank.
  float* max_target = nullptr;   // [num_tiles, Hq, row_len]
  float* mass_target = nullptr;  // [num_tiles, Hq, row_len]
  int32_t row_len = 0;           // >= the largest number of visible blocks
};

// D <= 256, even; 64 and 128 are fast. Exponents, sums and targets are fp32 or
// wider, whatever the dtype. A tile's targets do not depend, in any bit, on the
// other tiles of the batch, on chunking or on the number of threads.
// INVALID_ARGUMENT: shapes disagree, no target is wanted, there are sets or
// generated tiles. UNIMPLEMENTED: no kernel for this shape.
//
// kCuda does not look into what is in device memory: see Attend.
absl::Status PoolAttention(Backend backend, const AttentionPoolingArgs& args,
                           DeviceStream stream);

// Bytes of DeviceStream::workspace that PoolAttention needs. Read of `args`:
// attention's as by AttentionWorkspaceBytes, and row_len. For kCuda's fast
// shapes it is mainly 512 bytes for each of [num_tiles, Hq, row_len]: 16 tiles
// of 32 heads that see 131072 tokens take 512 MiB.
int64_t AttentionPoolingWorkspaceBytes(Backend backend,
                                       const AttentionPoolingArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_ATTENTION_POOLING_H_
