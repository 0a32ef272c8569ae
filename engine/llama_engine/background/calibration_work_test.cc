#include "engine/llama_engine/background/calibration_work.h"

#include <atomic>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "engine/calibrator.h"
#include "engine/device/cpu_device.h"
#include "engine/errors.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/llama_engine/background/calibration_channel.h"
#include "engine/model/aten/aten_executor.h"
#include "engine/scheduler/scheduler.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/split_device.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/engine/tiny/tiny_loop.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

// 4 tiles: spans are the same on the CPU and on a device of its own memory.
constexpr int64_t kLen = 250;

class RandomSequences final : public TokenSequences {
 public:
  explicit RandomSequences(int64_t sequence_len) : len_(sequence_len) {}
  int64_t num_sequences() const override { return 5; }
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override {
    std::mt19937_64 random(index + 1);
    std::vector<TokenId> tokens(len_);
    for (TokenId& token : tokens) {
      token = static_cast<TokenId>(random() % kTinyLlamaVocabSize);
    }
    return tokens;
  }

 private:
  const int64_t len_;
};

CalibrationOptions SmallRun() {
  CalibrationOptions options;
  options.steps = 12;
  options.warmup_steps = 2;
  options.sequences_per_step = 3;
  options.sequence_len = kLen;
  options.learning_rate = 0.01;
  return options;
}

GenerationRequest LongRequest() {
  GenerationRequest request;
  request.prompt = std::vector<TokenId>(100, 7);
  request.max_tokens = 40;
  request.sampling.temperature = 0;
  request.ignore_eos = true;
  return request;
}

std::unique_ptr<CalibrationRun> Begin(TinyLoop& loop,
                                      const CalibrationOptions& options) {
  auto run = loop.Calibrate(
      options, std::make_shared<RandomSequences>(options.sequence_len));
  EXPECT_TRUE(run.ok()) << run.status();
  return *std::move(run);
}

CalibrationEvent End(CalibrationRun& run) {
  std::optional<CalibrationEvent> event =
      run.Next(absl::Now() + absl::Minutes(1));
  return event.has_value() ? *std::move(event)
                           : absl::DeadlineExceededError("no event");
}

std::string File(CalibrationRun& run) {
  const CalibrationEvent event = End(run);
  const auto* result = std::get_if<CalibrationResult>(&event);
  EXPECT_NE(result, nullptr) << std::get<absl::Status>(event);
  return result == nullptr ? "" : result->file;
}

// Its micro-steps take an hour by its clock.
class SlowDevice final : public SplitDevice {
 public:
  using SplitDevice::SplitDevice;
  std::unique_ptr<DeviceClock> MakeClock() override {
    return std::make_unique<Clock>();
  }

 private:
  class Clock final : public DeviceClock {
   public:
    void Reset() override {}
    int Mark() override { return 0; }
    absl::Status Wait() override { return absl::OkStatus(); }
    absl::Duration Between(int, int) const override { return absl::Hours(1); }
  };
};

class CalibrationWorkTest : public testing::Test {
 protected:
  AtenExecutor executor_{1};
  SplitDevice device_{&executor_};
  TinyLoop loop_{&executor_, &device_};
};

TEST_F(CalibrationWorkTest, BehindStepsItComesOutTheSame) {
  std::string on_cpu;
  {
    CpuDevice cpu(&executor_);
    TinyLoop loop(&executor_, &cpu);
    const auto run = Begin(loop, SmallRun());
    loop.Start();
    on_cpu = File(*run);
    loop.Stop();
  }
  std::vector<TokenId> expected;
  std::atomic<bool> done{false};
  std::string beside;
  const auto first = loop_.Submit(LongRequest());
  loop_.Start();
  expected = Gather(*first).choices[0].token_ids;
  const auto run = Begin(loop_, SmallRun());
  std::thread waiter([&] {
    beside = File(*run);
    done = true;
  });
  for (int i = 0; i == 0 || !done; ++i) {
    EXPECT_EQ(loop_.Complete(LongRequest()).choices[0].token_ids, expected);
  }
  waiter.join();
  loop_.Stop();
  EXPECT_TRUE(beside == on_cpu);
  EXPECT_GT(loop_.rows().micro_steps_beside, 0);
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
}

// However much credit there is, nothing is done for a reader who has gone.
TEST_F(CalibrationWorkTest, AnAbandonedRunEndsWithinAMicroStep) {
  CalibrationWork& work = loop_.background();
  CalibrationOptions options = SmallRun();
  options.device_share = 0.99;
  std::unique_ptr<CalibrationRun> run = Begin(loop_, options);
  constexpr int kGone = 20;  // uploads
  device_.set_on_upload([&] {
    if (device_.num_uploads() == kGone) run.reset();
  });
  absl::Time look_at;
  for (int round = 0; run != nullptr; ++round) {
    ASSERT_LT(round, 100);
    work.RecordStep(absl::Hours(1));
    ASSERT_TRUE(work.RunRound(true, &look_at).ok());
  }
  // A sequence begins, at most: the run has 36 to train on.
  EXPECT_LE(device_.num_uploads(), kGone + 4);
}

// Neither what ran while nobody waited nor what another run did is owed by the
// first micro-step beside requests, which is of a kind not seen before.
TEST_F(CalibrationWorkTest, OwesOnlyItsOwnTimeBesideRequests) {
  SlowDevice device(&executor_);
  TinyLoop loop(&executor_, &device);
  CalibrationWork& work = loop.background();
  std::unique_ptr<CalibrationRun> run = Begin(loop, SmallRun());
  absl::Time look_at;
  const auto round = [&](bool beside) {
    ASSERT_TRUE(work.RunRound(beside, &look_at).ok());
  };
  // A layer each.
  for (int i = 0; i < loop.num_layers(); ++i) round(false);
  round(true);
  run.reset();
  run = Begin(loop, SmallRun());
  round(true);
  EXPECT_EQ(loop.rows().micro_steps_beside, 1) << "the first run's";
  run.reset();
  round(true);
  EXPECT_EQ(loop.rows().micro_steps_beside, 2) << "the second's";
}

// A share of 0.99 leaves steps 1 ms of 100; 100 tokens are believed to take 50.
TEST_F(CalibrationWorkTest, StepsLeaveItItsShare) {
  SchedulerOptions scheduler;
  scheduler.step_time = absl::Milliseconds(100);
  for (const bool is_beside : {false, true}) {
    TinyLoop loop(&executor_, &device_, scheduler);
    CalibrationOptions options = SmallRun();
    options.device_share = 0.99;
    std::unique_ptr<CalibrationRun> run = Begin(loop, options);
    if (!is_beside) run.reset();
    loop.Start();
    while (is_beside && run->status().step == 0) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    loop.Complete(LongRequest());
    loop.Stop();
    EXPECT_EQ(loop.rows().first_tokens, is_beside ? 64 : 100);
  }
}

// Steps and micro-steps take an hour each, by which all before is forgotten:
// the prompt of the only step was 100 tokens, and what came last is what was
// done beside it.
TEST_F(CalibrationWorkTest, WhoWaitsBesideItIsToldSo) {
  SlowDevice device(&executor_);
  for (const bool is_beside : {false, true}) {
    TinyLoop loop(&executor_, &device);
    const auto waiting = loop.admission().Enter(1000);
    std::unique_ptr<CalibrationRun> run = Begin(loop, SmallRun());
    if (!is_beside) run.reset();
    GenerationRequest request = LongRequest();
    request.max_tokens = 1;
    const auto stream = loop.Submit(request);
    loop.Start();
    EXPECT_TRUE(Gather(*stream).summary.has_value());
    while (is_beside && run->status().step == 0) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    loop.Stop();
    const double per_hour = loop.admission().load().tokens_per_second * 3600;
    if (is_beside) {
      EXPECT_LT(per_hour, 50);
    } else {
      EXPECT_NEAR(per_hour, 100, 1e-6);
    }
  }
}

// It holds pages; requests come that the scheduler alone knows of.
TEST_F(CalibrationWorkTest, GivesPagesBackOnlyToWhoCanStartThen) {
  CpuDevice device(&executor_);
  TinyLoop loop(&executor_, &device);
  PageAllocator& pages = loop.pages();
  Scheduler& scheduler = loop.scheduler();
  CalibrationOptions options = SmallRun();
  options.sequence_len = 4 * kLen;  // of more rounds than there are below
  const auto run = Begin(loop, options);
  absl::Time look_at;
  const auto round = [&] {
    ASSERT_TRUE(loop.background().RunRound(false, &look_at).ok());
  };
  while (pages.num_used() == 0) round();
  const int64_t num_held = pages.num_used();
  const int64_t num_left = pages.num_pages() - num_held;
  const auto wait_for = [&](RequestId id, int64_t num_pages) {
    ASSERT_TRUE(scheduler.Add(id, {num_pages * 64, 0, 1}).ok());
    scheduler.Plan();
    ASSERT_TRUE(scheduler.waits_for_pages());
  };
  ASSERT_TRUE(scheduler.Add(1, {64 * (num_left - 20), 0, 1}).ok());
  scheduler.Plan();
  const int64_t num_used = pages.num_used();
  wait_for(2, 20 + num_held + 1);
  EXPECT_EQ(scheduler.PagesMissing(), num_held + 1);
  round();
  EXPECT_EQ(pages.num_used(), num_used) << "one page too few";
  scheduler.Remove(2);
  EXPECT_EQ(scheduler.PagesMissing(), 0);
  wait_for(3, 20 + num_held);
  EXPECT_EQ(scheduler.PagesMissing(), num_held);
  round();
  EXPECT_EQ(pages.num_used(), num_used - num_held);
  scheduler.Plan();
  EXPECT_TRUE(scheduler.IsRunning(3));
  EXPECT_EQ(scheduler.PagesMissing(), 0);
}

TEST_F(CalibrationWorkTest, AnAbandonedChannelKeepsNothing) {
  CalibrationChannel channel("identity", CalibrationStatus(), [] {});
  const auto push = [&] {
    channel.PushCheckpoint(std::make_unique<RunState>());
    channel.PushResult(DistillationResult());
  };
  push();
  EXPECT_TRUE(channel.Next(absl::InfinitePast()).has_value());
  push();
  channel.Abandon();
  EXPECT_FALSE(channel.Next(absl::InfinitePast()).has_value());
  push();
  EXPECT_FALSE(channel.Next(absl::InfinitePast()).has_value());
}

TEST_F(CalibrationWorkTest, AFaultOfTheDeviceEndsBoth) {
  int num_uploads = 0;
  device_.set_on_upload([&] {
    if (++num_uploads == 10) {
      device_.FailWith(absl::InternalError("CUDA: a fault"));
    }
  });
  const auto run = Begin(loop_, SmallRun());
  loop_.Start();
  const CalibrationEvent event = End(*run);
  ASSERT_TRUE(std::holds_alternative<absl::Status>(event));
  EXPECT_EQ(std::get<absl::Status>(event).code(), absl::StatusCode::kInternal);
  loop_.Stop();
  EXPECT_FALSE(loop_.inbox().healthy());
  EXPECT_EQ(loop_.Calibrate(SmallRun(), std::make_shared<RandomSequences>(kLen))
                .status()
                .code(),
            absl::StatusCode::kInternal);
}

TEST_F(CalibrationWorkTest, AFailedStepEndsAll) {
  const auto run = Begin(loop_, SmallRun());
  loop_.Start();
  while (run->status().step == 0) absl::SleepFor(absl::Milliseconds(1));
  GenerationRequest request = LongRequest();
  request.max_tokens = 5000;
  const auto running = loop_.Submit(request);
  // An id past the embedding.
  const auto bad = loop_.Submit({1, kTinyLlamaVocabSize + 7});
  for (TokenStream* stream : {running.get(), bad.get()}) {
    EXPECT_EQ(Gather(*stream).status.code(), absl::StatusCode::kInternal);
  }
  const CalibrationEvent event = End(*run);
  ASSERT_TRUE(std::holds_alternative<absl::Status>(event));
  EXPECT_EQ(std::get<absl::Status>(event).code(), absl::StatusCode::kInternal);
  loop_.Stop();
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
}

TEST_F(CalibrationWorkTest, WithoutMemoryOnlyTheRunEnds) {
  std::atomic<int> num_uploads{0};
  device_.set_on_upload([&] {
    if (++num_uploads == 10) throw std::bad_alloc();
  });
  const auto run = Begin(loop_, SmallRun());
  loop_.Start();
  const CalibrationEvent event = End(*run);
  ASSERT_TRUE(std::holds_alternative<absl::Status>(event));
  const absl::Status status = std::get<absl::Status>(event);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(ReasonOf(status).value_or(ErrorReason()).reason, "OUT_OF_MEMORY");
  const GatheredReply reply = loop_.Complete(LongRequest());
  EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  loop_.Stop();
  EXPECT_TRUE(loop_.inbox().healthy());
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
}

}  // namespace
}  // namespace seer
