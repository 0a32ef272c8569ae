#include "engine/scheduler/sequence_lengths.h"

#include <algorithm>

#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// Blocks that a query head reads of the prompt's tile `block`, on average.
int64_t TileBlocks(const SequenceLengths& lengths, int64_t block) {
  const bool dense =
      block + lengths.dense_last_tiles >= NumBlocks(lengths.prompt_len);
  return dense ? block + 1 : std::min(block + 1, lengths.blocks_a_tile);
}

}  // namespace

int64_t SequenceLengths::total_blocks() const {
  return NumBlocks(prompt_len + max_tokens);
}

int64_t SequenceLengths::shared_blocks() const {
  return prompt_len / kBlockSize;
}

int64_t SequenceLengths::PagesNeeded() const {
  if (max_tokens == 0) return NumBlocks(prompt_len);
  return shared_blocks() + num_choices * (total_blocks() - shared_blocks());
}

void SequenceLengths::AddPromptWork(int64_t begin, int64_t num_tokens,
                                    StepWork* work) const {
  work->prompt_tokens += num_tokens;
  if (scores_prompt) work->scored_tokens += num_tokens;
  for (int64_t block = begin / kBlockSize;
       block < NumBlocks(begin + num_tokens); ++block) {
    work->prompt_blocks += TileBlocks(*this, block);
  }
}

}  // namespace seer
