#include "engine/llama_engine/engine_loop.h"

#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "engine/calibrator.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/model/aten/aten_executor.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/split_device.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/engine/tiny/tiny_loop.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

constexpr int64_t kSequenceLen = 250;

class Sequences final : public TokenSequences {
 public:
  int64_t num_sequences() const override { return 5; }
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override {
    return std::vector<TokenId>(kSequenceLen, static_cast<TokenId>(index + 1));
  }
};

class EngineLoopTest : public testing::Test {
 protected:
  AtenExecutor executor_{1};
  SplitDevice device_{&executor_};
  TinyLoop loop_{&executor_, &device_};
};

TEST_F(EngineLoopTest, RunsUntilStopped) {
  const auto stream = loop_.Submit({1, 2, 3});
  loop_.Start();
  const GatheredReply reply = Gather(*stream);
  EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  loop_.Stop();
  EXPECT_EQ(loop_.loop().Stats().output_tokens_total, 3);
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
}

TEST_F(EngineLoopTest, AFailedStepEndsAllAndTakesNoMore) {
  // An id past the embedding.
  const auto bad = loop_.Submit({1, kTinyLlamaVocabSize + 7});
  const auto innocent = loop_.Submit({1, 2, 3});
  loop_.Start();
  EXPECT_EQ(Gather(*bad).status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Gather(*innocent).status.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(loop_.inbox().healthy());
  EXPECT_EQ(loop_.inbox().CheckOpen().code(), absl::StatusCode::kInternal);
  loop_.Stop();
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
}

TEST_F(EngineLoopTest, AFaultOfTheDeviceEndsAllAndStays) {
  int steps = 0;
  device_.set_on_upload([&] {
    if (++steps == 2) device_.FailWith(absl::InternalError("CUDA: a fault"));
  });
  const auto running = loop_.Submit({1, 2, 3});
  const auto other = loop_.Submit({1, 2});
  loop_.Start();
  const GatheredReply reply = Gather(*running);
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Gather(*other).status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(steps, 2);
  // Even if the device should answer again, what it holds is not to be trusted.
  device_.FailWith(absl::OkStatus());
  EXPECT_FALSE(loop_.inbox().healthy());
  EXPECT_EQ(loop_.inbox().CheckOpen().code(), absl::StatusCode::kInternal);
  loop_.Stop();
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
}

TEST_F(EngineLoopTest, AStepWithoutMemoryOnAFailedDeviceIsAFault) {
  device_.set_on_upload([&] {
    device_.FailWith(absl::InternalError("CUDA: a fault"));
    throw std::bad_alloc();
  });
  const auto unlucky = loop_.Submit({1, 2, 3});
  loop_.Start();
  EXPECT_EQ(Gather(*unlucky).status.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(loop_.inbox().healthy());
  loop_.Stop();
}

TEST_F(EngineLoopTest, AStepIsSeenWhileItRuns) {
  std::optional<EngineStats> in_first_step;
  device_.set_on_upload([&] {
    if (!in_first_step.has_value()) in_first_step = loop_.loop().Stats();
  });
  const auto stream = loop_.Submit({1, 2, 3});
  loop_.Start();
  EXPECT_TRUE(Gather(*stream).summary.has_value());
  loop_.Stop();
  ASSERT_TRUE(in_first_step.has_value());
  EXPECT_EQ(in_first_step->requests_running, 1);
  EXPECT_EQ(in_first_step->pages_used, 1);
}

// What the reader of a last event finds, on the thread that pushes it.
struct AtTheEnd {
  EngineStats stats;
  int64_t backlog_tokens = -1;
};

class LastEventTest : public EngineLoopTest {
 protected:
  std::optional<AtTheEnd> RunOne(std::vector<TokenId> prompt) {
    std::optional<AtTheEnd> found;
    const auto stream = loop_.Submit(std::move(prompt));
    stream->OnReady([&] {
      for (Event event; stream->TryNext(&event);) {
        if (!IsLast(event)) continue;
        found = AtTheEnd{loop_.loop().Stats(),
                         loop_.admission().load().backlog_tokens};
        loop_.inbox().Stop();
      }
    });
    loop_.loop().Run();
    return found;
  }
};

TEST_F(LastEventTest, FindsPagesFreeAfterASummary) {
  const auto found = RunOne({1, 2, 3});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->stats.output_tokens_total, 3);
  EXPECT_EQ(found->stats.requests_running, 0);
  EXPECT_EQ(found->stats.pages_used, 0);
  EXPECT_EQ(found->backlog_tokens, 0);
}

TEST_F(LastEventTest, FindsPagesFreeAfterAFailure) {
  const auto found = RunOne({1, kTinyLlamaVocabSize + 7});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->stats.requests_running, 0);
  EXPECT_EQ(found->stats.pages_used, 0);
  EXPECT_EQ(found->backlog_tokens, 0);
}

TEST_F(EngineLoopTest, AStepWithoutMemoryEndsItsRequestsOnly) {
  bool failed = false;
  device_.set_on_upload([&] {
    if (failed) return;
    failed = true;
    throw std::bad_alloc();
  });
  const auto unlucky = loop_.Submit({1, 2, 3});
  loop_.Start();
  const absl::Status status = Gather(*unlucky).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ReasonOf(status).has_value());
  EXPECT_EQ(ReasonOf(status)->reason, "OUT_OF_MEMORY");
  EXPECT_TRUE(RetryDelayOf(status).has_value());
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
  EXPECT_TRUE(loop_.inbox().healthy());
  const auto next = loop_.Submit({1, 2, 3});
  EXPECT_TRUE(Gather(*next).summary.has_value());
  loop_.Stop();
}

// The first upload is a step's; the next are those of later steps, launched
// behind a running one, and of micro-steps.
TEST_F(EngineLoopTest, AStepWithoutMemoryTakesThatOfACalibration) {
  for (int failing = 1; failing <= 6; ++failing) {
    SplitDevice device(&executor_);
    TinyLoop loop(&executor_, &device);
    CalibrationOptions options;
    options.sequence_len = kSequenceLen;
    const auto run = loop.Calibrate(options, std::make_shared<Sequences>());
    ASSERT_TRUE(run.ok()) << run.status();
    absl::Time look_at;
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(loop.background().RunRound(false, &look_at).ok());
    }
    const auto stream = loop.Submit({1, 2, 3});
    int uploads = 0;
    device.set_on_upload([&] {
      if (++uploads == failing) throw std::bad_alloc();
    });
    loop.Start();
    const GatheredReply reply = Gather(*stream);
    EXPECT_TRUE(reply.summary.has_value()) << failing << ": " << reply.status;
    const std::optional<CalibrationEvent> event =
        (*run)->Next(absl::Now() + absl::Minutes(1));
    ASSERT_TRUE(event.has_value());
    const auto* ended = std::get_if<absl::Status>(&*event);
    ASSERT_NE(ended, nullptr);
    EXPECT_EQ(ReasonOf(*ended).value_or(ErrorReason()).reason, "OUT_OF_MEMORY");
    loop.Stop();
    EXPECT_TRUE(loop.inbox().healthy());
    EXPECT_EQ(loop.loop().Stats().pages_used, 0);
    EXPECT_EQ(loop.loop().Stats().output_tokens_total, 3);
  }
}

TEST_F(EngineLoopTest, AStepWithoutMemoryLeavesTheRunningOneItsTokens) {
  // Two prompts, and two rows of each; the fourth step has the longer's alone.
  int uploads = 0;
  device_.set_on_upload([&] {
    if (++uploads == 4) throw std::bad_alloc();
  });
  GenerationRequest request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 3;
  const auto shorter = loop_.Submit(request);
  request.max_tokens = 30;
  const auto longer = loop_.Submit(request);
  loop_.Start();
  const GatheredReply reply = Gather(*shorter);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  EXPECT_EQ(reply.summary->output_tokens, 3);
  const GatheredReply cut = Gather(*longer);
  EXPECT_EQ(cut.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(cut.choices[0].token_ids.size(), 3u);
  EXPECT_TRUE(loop_.inbox().healthy());
  EXPECT_TRUE(loop_.Complete(request).summary.has_value());
  loop_.Stop();
  EXPECT_EQ(loop_.loop().Stats().pages_used, 0);
}

}  // namespace
}  // namespace seer
