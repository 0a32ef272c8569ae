#include "engine/scheduler/sequence_lengths.h"

#include <cstdint>

#include "engine/scheduler/step_plan.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

int64_t PagesNeeded(const SequenceLengths& lengths) {
  return lengths.PagesNeeded();
}

int64_t BlocksRead(const SequenceLengths& lengths, int64_t begin,
                   int64_t num_tokens) {
  StepWork work;
  lengths.AddPromptWork(begin, num_tokens, &work);
  EXPECT_EQ(work.prompt_tokens, num_tokens);
  return work.prompt_blocks;
}

TEST(SequenceLengths, CountsPages) {
  EXPECT_EQ(PagesNeeded({1, 0, 1}), 1);
  EXPECT_EQ(PagesNeeded({64, 0, 1}), 1);
  EXPECT_EQ(PagesNeeded({65, 0, 5}), 2);  // scoring: one choice
  EXPECT_EQ(PagesNeeded({64, 1, 1}), 2);
  EXPECT_EQ(PagesNeeded({100, 28, 1}), 2);
  EXPECT_EQ(PagesNeeded({100, 29, 1}), 3);
  EXPECT_EQ(PagesNeeded({100, 29, 4}), 1 + 4 * 2);
  EXPECT_EQ(PagesNeeded({128, 64, 4}), 2 + 4 * 1);
}

TEST(SequenceLengths, ScoringIsOneSequence) {
  EXPECT_EQ((SequenceLengths{65, 0, 5}.num_sequences()), 1);
  EXPECT_EQ((SequenceLengths{65, 1, 5}.num_sequences()), 5);
}

TEST(SequenceLengths, ADenseTileReadsAllItSees) {
  const SequenceLengths lengths = {64 * 3 + 1, 2, 1};
  EXPECT_EQ(BlocksRead(lengths, 0, 64 * 3 + 1), 1 + 2 + 3 + 4);
  EXPECT_EQ(BlocksRead(lengths, 0, 64), 1);
  EXPECT_EQ(BlocksRead(lengths, 64, 128), 2 + 3);
  EXPECT_EQ(BlocksRead(lengths, 192, 1), 4);
}

TEST(SequenceLengths, ASparseTileReadsItsBudgetAndTheLastOnesAll) {
  SequenceLengths lengths = {64 * 5 + 1, 2, 1};
  lengths.blocks_a_tile = 2;
  lengths.dense_last_tiles = 1;
  EXPECT_EQ(BlocksRead(lengths, 0, 64 * 5 + 1), 1 + 2 + 2 + 2 + 2 + 6);
  // Of the prompt's tiles, not of the chunk's.
  EXPECT_EQ(BlocksRead(lengths, 64, 192), 2 + 2 + 2);
}

TEST(SequenceLengths, AddsToTheWork) {
  SequenceLengths lengths = {100, 2, 1};
  StepWork work;
  work.decode_rows = 7;
  lengths.AddPromptWork(0, 64, &work);
  EXPECT_EQ(work.scored_tokens, 0);
  lengths.scores_prompt = true;
  lengths.AddPromptWork(64, 36, &work);
  EXPECT_EQ(work.scored_tokens, 36);
  EXPECT_EQ(work.prompt_tokens, 100);
  EXPECT_EQ(work.prompt_blocks, 1 + 2);
  EXPECT_EQ(work.decode_rows, 7);
}

}  // namespace
}  // namespace seer
