#ifndef SEER_ENGINE_SCHEDULER_SEQUENCE_LENGTHS_H_
#define SEER_ENGINE_SCHEDULER_SEQUENCE_LENGTHS_H_

#include <cstdint>
#include <limits>

#include "engine/scheduler/step_plan.h"

namespace seer {

// What of a request matters to the scheduler, and what follows from it.
struct SequenceLengths {
  int64_t prompt_len = 0;   // >= 1
  int64_t max_tokens = 0;   // new tokens a choice; 0: score the prompt only
  int32_t num_choices = 1;  // >= 1; read as 1 when max_tokens is 0
  // Key blocks that a query head reads of each of the prompt's tiles, on
  // average over heads and layers, where the tile sees more; the prompt's last
  // tiles read all they see. For predictions only.
  int64_t blocks_a_tile = std::numeric_limits<int64_t>::max();
  int64_t dense_last_tiles = 0;
  // Whether the logits of every row of the prompt are wanted; likewise.
  bool scores_prompt = false;
  // Its prompt is planned last, and takes of a step what makes it longer by a
  // quarter at most, or 64 rows if that is more.
  bool is_background = false;

  // Choices that run.
  int64_t num_sequences() const { return max_tokens == 0 ? 1 : num_choices; }
  // Blocks of one choice, with all of its tokens; and of these, those that only
  // prompt tokens fill: the choices share their pages.
  int64_t total_blocks() const;
  int64_t shared_blocks() const;
  // Pages that the request reserves: the prompt's whole blocks once, everything
  // after them once a choice.
  int64_t PagesNeeded() const;

  // Adds the prompt's rows from position `begin` on, a multiple of 64:
  // `num_tokens` of them.
  void AddPromptWork(int64_t begin, int64_t num_tokens, StepWork* work) const;
};

}  // namespace seer

#endif  // SEER_ENGINE_SCHEDULER_SEQUENCE_LENGTHS_H_
