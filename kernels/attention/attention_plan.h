// What the GPU's attention must know of a step before it starts, from the
// batch alone: made on the host when a step is laid out, used by every layer.
#ifndef SEER_KERNELS_ATTENTION_ATTENTION_PLAN_H_
#define SEER_KERNELS_ATTENTION_ATTENTION_PLAN_H_

#include <cstdint>
#include <vector>

#include "kernels/ragged_batch.h"

namespace seer {

// A tile has no more parts: what is written and merged stays small beside what
// is read.
constexpr int32_t kMaxPromptParts = 8;

// A prompt tile, or a part of the blocks that its heads read: those of ranks
// [first_rank, first_rank + num_ranks) in each head's set, counted from the
// highest block down. Plain words, copied to the device as they are.
struct PromptPart {
  const int32_t* page_table = nullptr;  // of the tile's sequence
  int32_t tile = 0;                     // index into RaggedBatch::tiles
  int32_t row_begin = 0;                // Tile's
  int32_t num_rows = 0;                 // Tile's
  int32_t visible_blocks = 0;
  int32_t first_rank = 0;
  int32_t num_ranks = 0;       // of every part of the tile but the last
  int32_t first_partial = -1;  // partial tile of the tile's part 0; -1: whole
};
static_assert(sizeof(PromptPart) == 40, "read by words on the device");

// Zero: the plan of an empty batch.
struct AttentionPlan {
  const PromptPart* parts = nullptr;  // [num_parts], on the device
  int32_t num_parts = 0;
  int32_t num_partial_tiles = 0;  // parts of split tiles; the first parts
  int64_t num_key_blocks = 0;     // of the sequences with prompt tiles
  // Upper bounds over the generated tiles. A graph captured with larger ones
  // serves every step whose batch has the same counts and fits them.
  int32_t max_generated_blocks = 0;
  int32_t max_generated_rows = 0;
};

// The plan of a batch whose arrays are in host memory, but whose page tables
// are where the device will read them: they are copied, not read. `parts`,
// which the plan points to, is filled; the caller moves it to the device and
// sets the plan's pointer.
//
// The last tiles of a prompt, which read everything under most policies, are
// split, the last two the most and the 15th from the end in two, and stand
// first, so that a step does not end with a few of them running alone. A part
// that a head's set does not reach costs next to nothing, so a sparse tile is
// split no more than what it reads is long. The other tiles follow, those that
// see the most first. How a tile is split depends on that tile alone.
AttentionPlan PlanAttention(const RaggedBatch& batch,
                            std::vector<PromptPart>* parts);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_ATTENTION_PLAN_H_
