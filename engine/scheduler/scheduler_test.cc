#include "engine/scheduler/scheduler.h"

#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/errors.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/scheduler/sequence_lengths.h"
#include "engine/scheduler/step_plan.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

// (request, choice, position_begin, num_tokens)
using Row = std::tuple<int64_t, int32_t, int32_t, int32_t>;

std::vector<Row> Rows(const StepPlan& plan) {
  std::vector<Row> rows;
  for (const PlannedSlice& slice : plan.slices) {
    rows.emplace_back(slice.request, slice.choice, slice.position_begin,
                      slice.num_tokens);
  }
  return rows;
}

// Plans a step and commits it.
std::vector<Row> Step(Scheduler& scheduler) {
  std::vector<Row> rows = Rows(scheduler.Plan());
  scheduler.Commit();
  return rows;
}

using RowList = std::vector<Row>;

SchedulerOptions Options(int64_t max_step_tokens, int64_t max_running,
                         std::optional<int64_t> fixed_chunk = std::nullopt) {
  SchedulerOptions options;
  options.max_step_tokens = max_step_tokens;
  options.max_running = max_running;
  options.fixed_chunk_tokens = fixed_chunk;
  EXPECT_TRUE(options.Validate().ok());
  return options;
}

TEST(SchedulerOptions, RefusesStepsWithoutRoomForAChunk) {
  SchedulerOptions options;
  options.max_running = 100;
  options.max_step_tokens = 163;
  EXPECT_EQ(options.Validate().code(), absl::StatusCode::kInvalidArgument);
  options.max_step_tokens = 164;
  EXPECT_TRUE(options.Validate().ok());
  options.fixed_chunk_tokens = 128;
  EXPECT_FALSE(options.Validate().ok());
  options.max_step_tokens = 228;
  EXPECT_TRUE(options.Validate().ok());
}

TEST(SchedulerOptions, RefusesBadValues) {
  for (const int64_t chunk : {-64, 0, 1, 63, 65}) {
    SchedulerOptions options;
    options.fixed_chunk_tokens = chunk;
    EXPECT_FALSE(options.Validate().ok()) << chunk;
  }
  SchedulerOptions options;
  options.max_running = 0;
  EXPECT_FALSE(options.Validate().ok());
  options.max_running = std::numeric_limits<int64_t>::max();
  EXPECT_FALSE(options.Validate().ok());
  options = SchedulerOptions();
  options.max_step_tokens = std::numeric_limits<int64_t>::max();
  EXPECT_FALSE(options.Validate().ok());
  options.max_step_tokens = std::numeric_limits<int64_t>::min();
  EXPECT_FALSE(options.Validate().ok());
}

TEST(Scheduler, RefusesWhatCanNeverRun) {
  PageAllocator pages(10);
  Scheduler scheduler(Options(128, 4), &pages);
  const auto code = [&](const SequenceLengths& lengths) {
    EXPECT_EQ(scheduler.CheckRunnable(lengths).code(),
              scheduler.Add(99, lengths).code());
    return scheduler.CheckRunnable(lengths).code();
  };
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const SequenceLengths bad[] = {
      {0, 1, 1},     {-1, 1, 1},           {1, -1, 1},
      {1, 1, 0},     {1, 1, -3},           {1, 1, 5},
      {641, 0, 1},   {600, 41, 1},         {64, 64, 10},
      {kHuge, 1, 1}, {1, kHuge, 1},        {kHuge, kHuge, 1},
      {64, 1000, 4}, {1 << 30, 1 << 30, 1}};
  for (const SequenceLengths& lengths : bad) {
    EXPECT_EQ(code(lengths), absl::StatusCode::kInvalidArgument)
        << lengths.prompt_len << " " << lengths.max_tokens << " "
        << lengths.num_choices;
  }
  EXPECT_EQ(scheduler.num_requests_waiting(), 0);
  EXPECT_EQ(scheduler.backlog_tokens(), 0);

  const std::optional<ErrorReason> reason =
      ReasonOf(scheduler.CheckRunnable({600, 41, 1}));
  ASSERT_TRUE(reason.has_value());
  EXPECT_EQ(reason->reason, "CONTEXT_TOO_LONG");
  EXPECT_EQ(reason->limit, 640);
  EXPECT_EQ(reason->got, 704);

  EXPECT_TRUE(scheduler.Add(1, {600, 40, 1}).ok());
  EXPECT_EQ(scheduler.Add(1, {1, 1, 1}).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(scheduler.backlog_tokens(), 600);
}

TEST(Scheduler, HasNothingToDoAtFirst) {
  PageAllocator pages(10);
  Scheduler scheduler(Options(128, 4), &pages);
  EXPECT_TRUE(scheduler.Plan().empty());
  scheduler.Commit();
  EXPECT_FALSE(scheduler.Remove(1));
  EXPECT_FALSE(scheduler.FinishChoice(1, 0));
  scheduler.SetHeld(1, true);
}

TEST(Scheduler, RunsOneRequestFromPromptToLastToken) {
  PageAllocator pages(10);
  Scheduler scheduler(Options(129, 1), &pages);
  ASSERT_TRUE(scheduler.Add(7, {150, 3, 1}).ok());
  EXPECT_EQ(scheduler.num_requests_waiting(), 1);
  EXPECT_FALSE(scheduler.IsRunning(7));

  EXPECT_EQ(Step(scheduler), (RowList{{7, 0, 0, 128}}));
  EXPECT_TRUE(scheduler.IsRunning(7));
  EXPECT_EQ(scheduler.backlog_tokens(), 22);
  EXPECT_EQ(pages.num_used(), 2);
  EXPECT_EQ(pages.num_reserved(), 1);

  const StepPlan& plan = scheduler.Plan();
  EXPECT_EQ(Rows(plan), (RowList{{7, 0, 128, 22}}));
  EXPECT_TRUE(plan.slices[0].ends_prompt());
  EXPECT_TRUE(plan.slices[0].is_prompt());
  EXPECT_EQ(plan.work.prompt_tokens, 22);
  EXPECT_EQ(plan.work.decode_rows, 0);
  EXPECT_EQ(plan.slices[0].page_table.size(), 3u);
  EXPECT_TRUE(plan.copies.empty());
  scheduler.Commit();

  // The first token is drawn: two more rows give the second and the third.
  EXPECT_EQ(Rows(scheduler.Plan()), (RowList{{7, 0, 150, 1}}));
  EXPECT_FALSE(scheduler.Plan().slices[0].is_prompt());
  EXPECT_EQ(scheduler.Plan().work.decode_rows, 1);
  scheduler.Commit();
  EXPECT_EQ(Step(scheduler), (RowList{{7, 0, 151, 1}}));
  EXPECT_TRUE(scheduler.Plan().empty());
  EXPECT_TRUE(scheduler.FinishChoice(7, 0));
  EXPECT_FALSE(scheduler.FinishChoice(7, 0));
  EXPECT_EQ(pages.num_free(), 10);
  EXPECT_EQ(pages.num_reserved(), 0);
  EXPECT_EQ(scheduler.num_requests_running(), 0);
  EXPECT_EQ(scheduler.num_sequences_running(), 0);
}

TEST(Scheduler, ScoresAPromptWithoutDecoding) {
  PageAllocator pages(2);
  Scheduler scheduler(Options(1024, 1), &pages);
  ASSERT_TRUE(scheduler.Add(1, {128, 0, 1}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 128}}));
  EXPECT_TRUE(scheduler.Plan().empty());
  EXPECT_TRUE(scheduler.Remove(1));
  EXPECT_EQ(pages.num_free(), 2);
}

TEST(Scheduler, DecodesBesidePromptsWithinTheBudget) {
  PageAllocator pages(100);
  Scheduler scheduler(Options(200, 4), &pages);
  ASSERT_TRUE(scheduler.Add(1, {10, 50, 1}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 10}}));
  ASSERT_TRUE(scheduler.Add(2, {1000, 1, 1}).ok());
  ASSERT_TRUE(scheduler.Add(3, {30, 50, 1}).ok());
  // One row of 200 decodes; the long prompt takes the multiple of 64 below
  // what is left, and the next one fits behind it only at its end.
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 0, 192}, {1, 0, 10, 1}}));
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 192, 192}, {1, 0, 11, 1}}));
  for (int i = 0; i < 3; ++i) Step(scheduler);
  EXPECT_EQ(Step(scheduler),
            (RowList{{2, 0, 960, 40}, {3, 0, 0, 30}, {1, 0, 15, 1}}));
  // 2 has drawn its only token.
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 16, 1}, {3, 0, 30, 1}}));
}

TEST(Scheduler, SplitsALastChunkOnlyAtMultiplesOf64) {
  PageAllocator pages(100);
  Scheduler scheduler(Options(100, 2), &pages);
  ASSERT_TRUE(scheduler.Add(1, {70, 1, 1}).ok());
  ASSERT_TRUE(scheduler.Add(2, {70, 1, 1}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 70}}));  // 30 left: no block
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 0, 70}}));
}

TEST(Scheduler, KeepsChunksFixed) {
  PageAllocator pages(100);
  Scheduler scheduler(Options(300, 4, 128), &pages);
  ASSERT_TRUE(scheduler.Add(1, {300, 1, 1}).ok());
  ASSERT_TRUE(scheduler.Add(2, {300, 1, 1}).ok());
  ASSERT_TRUE(scheduler.Add(3, {300, 1, 1}).ok());
  const RowList first = {{1, 0, 0, 128}, {2, 0, 0, 128}};
  EXPECT_EQ(Step(scheduler), first);
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 128, 128}, {2, 0, 128, 128}}));
  EXPECT_EQ(Step(scheduler),
            (RowList{{1, 0, 256, 44}, {2, 0, 256, 44}, {3, 0, 0, 128}}));
}

TEST(Scheduler, StartsInOrderOfArrivalAndNobodyPasses) {
  PageAllocator pages(10);
  Scheduler scheduler(Options(1024, 8), &pages);
  ASSERT_TRUE(scheduler.Add(1, {300, 20, 1}).ok());  // 5 pages
  ASSERT_TRUE(scheduler.Add(2, {500, 12, 1}).ok());  // 8 pages: waits
  ASSERT_TRUE(scheduler.Add(3, {10, 10, 1}).ok());   // 1 page: waits behind
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 300}}));
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 300, 1}}));
  EXPECT_EQ(scheduler.num_requests_waiting(), 2);
  EXPECT_TRUE(scheduler.Remove(1));
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 0, 500}, {3, 0, 0, 10}}));
}

TEST(Scheduler, LimitsRunningSequences) {
  PageAllocator pages(100);
  Scheduler scheduler(Options(1024, 4), &pages);
  ASSERT_TRUE(scheduler.Add(1, {10, 10, 3}).ok());
  ASSERT_TRUE(scheduler.Add(2, {10, 10, 2}).ok());
  Step(scheduler);
  EXPECT_EQ(scheduler.num_sequences_running(), 3);
  EXPECT_EQ(scheduler.num_requests_waiting(), 1);
  EXPECT_TRUE(scheduler.FinishChoice(1, 1));
  Step(scheduler);
  EXPECT_EQ(scheduler.num_sequences_running(), 4);
  EXPECT_EQ(scheduler.num_requests_waiting(), 0);
}

TEST(Scheduler, ChoicesShareThePromptAndCopyItsRaggedEnd) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(1024, 3), &pages);
  ASSERT_TRUE(scheduler.Add(1, {130, 100, 3}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 130}}));
  const StepPlan& plan = scheduler.Plan();
  EXPECT_EQ(Rows(plan),
            (RowList{{1, 0, 130, 1}, {1, 1, 130, 1}, {1, 2, 130, 1}}));
  ASSERT_EQ(plan.copies.size(), 2u);
  const auto& tables = plan.slices;
  for (int choice : {1, 2}) {
    EXPECT_EQ(tables[choice].page_table[0], tables[0].page_table[0]);
    EXPECT_EQ(tables[choice].page_table[1], tables[0].page_table[1]);
    EXPECT_EQ(plan.copies[choice - 1].source, tables[0].page_table[2]);
    EXPECT_EQ(plan.copies[choice - 1].target, tables[choice].page_table[2]);
    EXPECT_NE(tables[choice].page_table[2], tables[0].page_table[2]);
  }
  EXPECT_EQ(pages.references(tables[0].page_table[0]), 3);
  scheduler.Commit();
  EXPECT_TRUE(scheduler.Plan().copies.empty());
  EXPECT_EQ(pages.num_used(), 5);

  // What choice 0 alone holds is its end: the shared pages stay.
  EXPECT_TRUE(scheduler.FinishChoice(1, 0));
  EXPECT_EQ(pages.num_used(), 4);
  EXPECT_TRUE(scheduler.FinishChoice(1, 2));
  EXPECT_EQ(pages.num_used(), 3);
  EXPECT_TRUE(scheduler.FinishChoice(1, 1));
  EXPECT_EQ(pages.num_used(), 0);
  EXPECT_EQ(pages.num_reserved(), 0);
}

TEST(Scheduler, CopiesNothingWhenThePromptFillsItsBlocks) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(1024, 2), &pages);
  ASSERT_TRUE(scheduler.Add(1, {128, 10, 2}).ok());
  Step(scheduler);
  const StepPlan& plan = scheduler.Plan();
  EXPECT_TRUE(plan.copies.empty());
  EXPECT_NE(plan.slices[0].page_table[2], plan.slices[1].page_table[2]);
  EXPECT_EQ(pages.num_used(), 4);
}

TEST(Scheduler, CopiesOutliveTheChoiceTheyAreTakenFrom) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(1024, 3), &pages);
  ASSERT_TRUE(scheduler.Add(1, {10, 10, 3}).ok());
  const PageId source = scheduler.Plan().slices[0].page_table[0];
  scheduler.Commit();
  // The first token of choices 0 and 1 was an end token.
  EXPECT_TRUE(scheduler.FinishChoice(1, 0));
  EXPECT_TRUE(scheduler.FinishChoice(1, 1));
  EXPECT_EQ(pages.references(source), 1);
  const StepPlan& plan = scheduler.Plan();
  ASSERT_EQ(plan.copies.size(), 1u);
  EXPECT_EQ(plan.copies[0].source, source);
  EXPECT_EQ(plan.copies[0].target, plan.slices[0].page_table[0]);
  scheduler.Commit();
  EXPECT_EQ(pages.references(source), 0);
  EXPECT_EQ(pages.num_used(), 1);
}

TEST(Scheduler, AnAbandonedPlanComesAgain) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(128, 2), &pages);
  ASSERT_TRUE(scheduler.Add(1, {70, 10, 2}).ok());
  const RowList rows = Rows(scheduler.Plan());
  EXPECT_EQ(Rows(scheduler.Plan()), rows);
  scheduler.Commit();
  scheduler.Commit();  // none is open: no effect
  ASSERT_EQ(scheduler.Plan().copies.size(), 1u);
  EXPECT_EQ(scheduler.Plan().copies.size(), 1u);
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 70, 1}, {1, 1, 70, 1}}));
  EXPECT_TRUE(scheduler.Plan().copies.empty());
}

TEST(Scheduler, RemovesAtAnyPointAndFreesAtOnce) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(128, 4), &pages);
  const auto expect_all_free = [&] {
    EXPECT_EQ(pages.num_free(), 20);
    EXPECT_EQ(pages.num_reserved(), 0);
    EXPECT_EQ(scheduler.backlog_tokens(), 0);
    EXPECT_EQ(scheduler.num_sequences_running(), 0);
    EXPECT_TRUE(scheduler.Plan().empty());
  };
  for (int steps = 0; steps < 6; ++steps) {
    const RequestId id = steps;
    ASSERT_TRUE(scheduler.Add(id, {200, 30, 3}).ok());
    for (int i = 0; i < steps; ++i) Step(scheduler);
    EXPECT_TRUE(scheduler.Remove(id));
    expect_all_free();
  }
  // While its plan is open.
  ASSERT_TRUE(scheduler.Add(100, {200, 30, 3}).ok());
  scheduler.Plan();
  EXPECT_TRUE(scheduler.Remove(100));
  scheduler.Commit();
  expect_all_free();
}

TEST(Scheduler, AHeldRequestKeepsItsPlaceOnly) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(128, 2), &pages);
  ASSERT_TRUE(scheduler.Add(1, {200, 30, 1}).ok());
  ASSERT_TRUE(scheduler.Add(2, {20, 30, 1}).ok());
  Step(scheduler);
  scheduler.SetHeld(1, true);
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 0, 20}}));
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 20, 1}}));
  scheduler.SetHeld(2, true);
  EXPECT_TRUE(scheduler.Plan().empty());
  scheduler.SetHeld(1, false);
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 128, 72}}));
  scheduler.SetHeld(2, false);
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 200, 1}, {2, 0, 21, 1}}));
}

TEST(Scheduler, HeldChoicesAreCopiedBeforeTheyRun) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(128, 2), &pages);
  ASSERT_TRUE(scheduler.Add(1, {20, 30, 2}).ok());
  Step(scheduler);
  scheduler.SetHeld(1, true);
  EXPECT_TRUE(scheduler.Plan().empty());
  EXPECT_TRUE(scheduler.Plan().copies.empty());
  scheduler.Commit();
  scheduler.SetHeld(1, false);
  EXPECT_EQ(scheduler.Plan().copies.size(), 1u);
}

TEST(Scheduler, EndsNoChoiceBeforeThePromptIsWhole) {
  PageAllocator pages(20);
  Scheduler scheduler(Options(128, 2), &pages);
  ASSERT_TRUE(scheduler.Add(1, {200, 30, 2}).ok());
  EXPECT_FALSE(scheduler.FinishChoice(1, 0));
  Step(scheduler);
  EXPECT_FALSE(scheduler.FinishChoice(1, 0));
  Step(scheduler);
  EXPECT_FALSE(scheduler.FinishChoice(1, -1));
  EXPECT_FALSE(scheduler.FinishChoice(1, 2));
  EXPECT_TRUE(scheduler.FinishChoice(1, 0));
  EXPECT_EQ(Step(scheduler), (RowList{{1, 1, 200, 1}}));
}

// A machine on which only the key blocks that prompts read take time.
absl::Duration BlockTime(const StepPlan& plan) {
  return absl::Microseconds(5) * plan.work.prompt_blocks +
         absl::Microseconds(10);
}

// Chunks of a long prompt, once the scheduler has seen how long steps take.
TEST(Scheduler, CutsChunksToTheStepTime) {
  PageAllocator pages(1000);
  SchedulerOptions options = Options(4096, 4);
  options.step_time = absl::Milliseconds(50);
  Scheduler scheduler(options, &pages);
  ASSERT_TRUE(scheduler.Add(1, {60000, 1, 1}).ok());
  int num_late = 0;
  for (int i = 0; i < 500; ++i) {
    const StepPlan& plan = scheduler.Plan();
    if (plan.work.prompt_tokens == 0) break;
    EXPECT_TRUE(plan.work.prompt_tokens % 64 == 0 ||
                plan.slices[0].ends_prompt());
    const bool one_tile = plan.work.prompt_tokens <= 64;
    if (i >= 10 && !one_tile) {
      num_late += BlockTime(plan) > options.step_time * 1.1;
      // It could not have taken another tile.
      if (!plan.slices[0].ends_prompt() && plan.work.prompt_tokens < 4096) {
        EXPECT_GT(BlockTime(plan) + absl::Microseconds(5) * 1000,
                  options.step_time);
      }
    }
    scheduler.RecordStepTime(plan.work, BlockTime(plan));
    scheduler.Commit();
  }
  EXPECT_EQ(scheduler.backlog_tokens(), 0);
  EXPECT_LE(num_late, 2);
}

TEST(Scheduler, CountsTheBlocksThatPromptsRead) {
  PageAllocator pages(100);
  Scheduler scheduler(Options(2048, 4), &pages);
  SequenceLengths lengths = {64 * 10, 2, 1};
  lengths.blocks_a_tile = 4;
  lengths.dense_last_tiles = 2;
  ASSERT_TRUE(scheduler.Add(1, lengths).ok());
  SequenceLengths scored = {100, 2, 1};
  scored.scores_prompt = true;
  ASSERT_TRUE(scheduler.Add(2, scored).ok());
  const StepPlan& plan = scheduler.Plan();
  EXPECT_EQ(plan.work.scored_tokens, 100);
  // 1 + 2 + 3 + 4 * 5 + 9 + 10, and 1 + 2.
  EXPECT_EQ(plan.work.prompt_blocks, 48);
  EXPECT_EQ(plan.work.decode_blocks, 0);
  scheduler.Commit();
  EXPECT_EQ(scheduler.Plan().work.prompt_blocks, 0);
  EXPECT_EQ(scheduler.Plan().work.decode_rows, 2);
  EXPECT_EQ(scheduler.Plan().work.decode_blocks, 11 + 2);
}

// However slow the machine is, prompts get on; and decode rows are not held
// back by them.
TEST(Scheduler, AlwaysTakesATile) {
  PageAllocator pages(100);
  SchedulerOptions options = Options(2048, 4);
  options.step_time = absl::Nanoseconds(1);
  Scheduler scheduler(options, &pages);
  ASSERT_TRUE(scheduler.Add(1, {100, 9, 1}).ok());
  ASSERT_TRUE(scheduler.Add(2, {100, 9, 1}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 64}}));
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 64, 36}}));
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 0, 64}, {1, 0, 100, 1}}));
}

// A machine on which rows take time, and nothing else.
absl::Duration RowTime(const StepWork& work) {
  return absl::Microseconds(10) * work.prompt_tokens +
         absl::Milliseconds(1) * work.decode_rows;
}

SequenceLengths Background(int64_t prompt_len) {
  SequenceLengths lengths = {prompt_len, 0, 1};
  lengths.is_background = true;
  return lengths;
}

// Streams and a long prompt, while other work has a share of the device.
TEST(Scheduler, LeavesOtherWorkItsShareOfTheStepTime) {
  PageAllocator pages(10000);
  SchedulerOptions options = Options(100000, 100);
  options.step_time = absl::Milliseconds(100);
  Scheduler scheduler(options, &pages);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(scheduler.Add(2 + i, {10, 200, 1}).ok());
  }
  ASSERT_TRUE(scheduler.Add(1, {500000, 1, 1}).ok());
  for (const double share : {0.0, 0.5, 0.95, 0.0}) {
    scheduler.SetShareBesideSteps(share);
    StepWork work;
    for (int i = 0; i < 20; ++i) {
      work = scheduler.Plan().work;
      scheduler.RecordStepTime(work, RowTime(work));
      scheduler.Commit();
    }
    EXPECT_EQ(work.decode_rows, 20) << "rows of streams wait for nobody";
    if (share == 0.95) {
      EXPECT_EQ(work.prompt_tokens, 64);  // the rows alone take longer
      continue;
    }
    // To a tile, and the costs are learned.
    const absl::Duration most = options.step_time * (1 - share);
    EXPECT_LE(RowTime(work), most * 1.02);
    EXPECT_GT(RowTime(work), most * 0.98 - absl::Microseconds(640));
  }
}

// What a step has of so many streams and a prompt of the background that came
// first.
StepWork StepBesideStreams(int num_streams) {
  PageAllocator pages(10000);
  SchedulerOptions options = Options(4096, 100);
  options.step_time = absl::Milliseconds(500);
  Scheduler scheduler(options, &pages);
  EXPECT_TRUE(scheduler.Add(1, Background(500000)).ok());
  for (int i = 0; i < num_streams; ++i) {
    EXPECT_TRUE(scheduler.Add(2 + i, {10, 200, 1}).ok());
  }
  StepWork work;
  for (int i = 0; i < 60; ++i) {
    work = scheduler.Plan().work;
    scheduler.RecordStepTime(work, RowTime(work));
    scheduler.Commit();
  }
  return work;
}

TEST(Scheduler, BackgroundPromptsLeaveStreamsTheirPace) {
  // 80 ms of decode rows leave 20, of 10 us a row; the prediction is learned.
  const StepWork many = StepBesideStreams(80);
  EXPECT_EQ(many.decode_rows, 80);
  EXPECT_LE(RowTime(many), absl::Milliseconds(80) / 0.8 * 1.05);
  EXPECT_GE(RowTime(many), absl::Milliseconds(80) / 0.8 * 0.95);
  // 1 ms leaves a quarter of one, which is less than a tile.
  EXPECT_EQ(StepBesideStreams(1).prompt_tokens, 64);
  // Nobody waits.
  EXPECT_GT(StepBesideStreams(0).prompt_tokens, 3000);
}

TEST(Scheduler, BackgroundPromptsComeLast) {
  PageAllocator pages(100);
  SchedulerOptions options = Options(2048, 4);
  options.step_time = absl::Nanoseconds(1);
  Scheduler scheduler(options, &pages);
  ASSERT_TRUE(scheduler.Add(1, Background(100)).ok());
  ASSERT_TRUE(scheduler.Add(2, Background(100)).ok());
  ASSERT_TRUE(scheduler.Add(3, {200, 9, 1}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{3, 0, 0, 64}, {1, 0, 0, 64}}));
  EXPECT_EQ(Step(scheduler), (RowList{{3, 0, 64, 64}, {1, 0, 64, 36}}));
  EXPECT_EQ(Step(scheduler), (RowList{{3, 0, 128, 64}, {2, 0, 0, 64}}));
}

TEST(Scheduler, BackgroundPromptsTakeRowsThatAreLeft) {
  PageAllocator pages(100);
  Scheduler scheduler(Options(129, 1 + 1), &pages);
  ASSERT_TRUE(scheduler.Add(1, Background(100)).ok());
  ASSERT_TRUE(scheduler.Add(2, {128, 9, 1}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{2, 0, 0, 128}}));
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 64}, {2, 0, 128, 1}}));
}

// Chunks of a fixed size do not depend on how long steps take.
TEST(Scheduler, StepTimeDoesNotCutFixedChunks) {
  PageAllocator pages(100);
  SchedulerOptions options = Options(2048, 4, 256);
  options.step_time = absl::Nanoseconds(1);
  Scheduler scheduler(options, &pages);
  ASSERT_TRUE(scheduler.Add(1, {300, 9, 1}).ok());
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 0, 256}}));
  EXPECT_EQ(Step(scheduler), (RowList{{1, 0, 256, 44}}));
}

}  // namespace
}  // namespace seer
