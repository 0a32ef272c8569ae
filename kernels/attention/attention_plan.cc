#include "kernels/attention/attention_plan.h"

#include <algorithm>

namespace seer {
namespace {

// The k-th tile from a prompt's end has up to kEndParts / k parts, rounded up:
// a step that ends with k tiles that read everything, however many a policy
// has, then shares out at least kEndParts pieces a query head, more than a GPU
// has warpgroups at 32 heads. From kEndParts tiles on whole ones are as many.
constexpr int32_t kEndParts = 16;

// Parts are no shorter. Tiles beyond those that are dense by default seldom
// read everything, and are split only where one would take long.
constexpr int32_t kDefaultDenseTiles = 2;
constexpr int32_t kMinPartBlocks = 32;
constexpr int32_t kMinPartBlocksBeyond = 128;

int32_t NumParts(const Tile& tile, const SequenceSlice& sequence) {
  const int32_t from_end = NumBlocks(sequence.prompt_len) - tile.block;
  const int32_t most =
      std::min(kMaxPromptParts, (kEndParts + from_end - 1) / from_end);
  const int32_t min_blocks =
      from_end <= kDefaultDenseTiles ? kMinPartBlocks : kMinPartBlocksBeyond;
  return std::clamp(VisibleBlocks(tile) / min_blocks, 1, most);
}

void AppendParts(const RaggedBatch& batch, int32_t index, AttentionPlan* plan,
                 std::vector<PromptPart>* parts) {
  const Tile& tile = batch.tiles[index];
  const SequenceSlice& sequence = batch.sequences[tile.sequence];
  const int32_t num_parts = NumParts(tile, sequence);
  PromptPart part;
  part.page_table = sequence.page_table;
  part.tile = index;
  part.row_begin = tile.row_begin;
  part.num_rows = tile.num_rows;
  part.visible_blocks = VisibleBlocks(tile);
  part.num_ranks = (part.visible_blocks + num_parts - 1) / num_parts;
  if (num_parts > 1) {
    part.first_partial = plan->num_partial_tiles;
    plan->num_partial_tiles += num_parts;
  }
  for (int32_t i = 0; i < num_parts; ++i) {
    part.first_rank = i * part.num_ranks;
    parts->push_back(part);
  }
}

}  // namespace

AttentionPlan PlanAttention(const RaggedBatch& batch,
                            std::vector<PromptPart>* parts) {
  AttentionPlan plan;
  parts->clear();
  for (int32_t t = 0; t < batch.num_prompt_tiles; ++t) {
    AppendParts(batch, t, &plan, parts);
    const bool last_of_sequence =
        t + 1 == batch.num_prompt_tiles ||
        batch.tiles[t + 1].sequence != batch.tiles[t].sequence;
    if (last_of_sequence) {
      plan.num_key_blocks += VisibleBlocks(batch.tiles[t]);
    }
  }
  std::stable_sort(parts->begin(), parts->end(),
                   [](const PromptPart& a, const PromptPart& b) {
                     const bool a_split = a.first_partial >= 0;
                     const bool b_split = b.first_partial >= 0;
                     if (a_split != b_split) return a_split;
                     return a.num_ranks > b.num_ranks;
                   });
  for (int32_t t = batch.num_prompt_tiles; t < batch.num_tiles; ++t) {
    const Tile& tile = batch.tiles[t];
    plan.max_generated_blocks =
        std::max(plan.max_generated_blocks, VisibleBlocks(tile));
    plan.max_generated_rows = std::max(plan.max_generated_rows, tile.num_rows);
  }
  plan.parts = parts->data();
  plan.num_parts = static_cast<int32_t>(parts->size());
  return plan;
}

}  // namespace seer
