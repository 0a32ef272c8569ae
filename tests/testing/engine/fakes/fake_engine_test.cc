#include "tests/testing/engine/fakes/fake_engine.h"

#include <future>

#include "absl/time/clock.h"
#include "engine/errors.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

GenerationRequest Request(const std::string& id) {
  GenerationRequest request;
  request.request_id = id;
  request.prompt = {1, 2, 3};
  request.max_tokens = 2;
  return request;
}

// Reads to the last event.
std::vector<Event> ReadAll(TokenStream& stream) {
  std::vector<Event> events;
  std::promise<void> ended;
  stream.OnReady([&] {
    for (Event event; stream.TryNext(&event);) {
      events.push_back(event);
      if (IsLast(event)) ended.set_value();
    }
  });
  ended.get_future().wait();
  return events;
}

TEST(FakeEngineTest, EchoesMaxTokensPerChoice) {
  FakeEngine engine{FakeEngine::Options()};
  GenerationRequest request = Request("a");
  request.num_choices = 3;
  auto stream = engine.Submit(request);
  ASSERT_TRUE(stream.ok()) << stream.status();
  int deltas = 0, finishes = 0;
  for (const Event& event : ReadAll(**stream)) {
    deltas += std::holds_alternative<DeltaEvent>(event);
    finishes += std::holds_alternative<FinishEvent>(event);
  }
  EXPECT_EQ(deltas, 6);
  EXPECT_EQ(finishes, 3);
  EXPECT_EQ(engine.Stats().requests_running, 0);
}

TEST(FakeEngineTest, DestroyingAnOpenStreamCancelsIt) {
  FakeEngine engine({}, [](const GenerationRequest&) {
    return FakeReply{{AcceptedEvent{}}, absl::ZeroDuration()};
  });
  auto stream = engine.Submit(Request("a"));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(engine.Stats().requests_running, 1);
  stream->reset();
  EXPECT_TRUE(engine.WaitForCancelled(1));
  EXPECT_EQ(engine.Stats().requests_running, 0);
  EXPECT_FALSE(engine.Push("a", SummaryEvent{}));
}

TEST(FakeEngineTest, TheDeadlineEndsAStream) {
  FakeEngine engine({}, [](const GenerationRequest&) { return FakeReply{}; });
  GenerationRequest request = Request("a");
  request.deadline = absl::Now() + absl::Milliseconds(5);
  auto stream = engine.Submit(request);
  ASSERT_TRUE(stream.ok());
  const std::vector<Event> events = ReadAll(**stream);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(std::get<FailureEvent>(events[0]).status.code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(FakeEngineTest, AReaderThatFallsBehindIsEnded) {
  FakeEngine::Options options;
  options.max_unread_events = 2;
  FakeEngine engine(options,
                    [](const GenerationRequest&) { return FakeReply{}; });
  auto stream = engine.Submit(Request("a"));
  ASSERT_TRUE(stream.ok());
  for (int i = 0; i < 3; ++i) engine.Push("a", DeltaEvent{});
  const std::vector<Event> events = ReadAll(**stream);
  ASSERT_EQ(events.size(), 1u);
  const absl::Status status = std::get<FailureEvent>(events[0]).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status)->reason, "SLOW_READER");
}

TEST(FakeEngineTest, DrainingRefusesAndEndsWhatRuns) {
  FakeEngine engine({}, [](const GenerationRequest&) { return FakeReply{}; });
  auto stream = engine.Submit(Request("a"));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(engine.Drain(absl::Now()).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(engine.Submit(Request("b")).status().code(),
            absl::StatusCode::kUnavailable);
  const std::vector<Event> events = ReadAll(**stream);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(std::get<FailureEvent>(events[0]).status.code(),
            absl::StatusCode::kUnavailable);
}

TEST(FakeEngineTest, RefusesWhatEveryEngineRefuses) {
  FakeEngine engine{FakeEngine::Options()};
  GenerationRequest request = Request("a");
  request.prompt.clear();
  EXPECT_EQ(FieldOf(engine.Submit(request).status()), "prompt");
  request = Request("a");
  request.max_tokens = 4094;
  EXPECT_EQ(ReasonOf(engine.Submit(request).status())->reason,
            "CONTEXT_TOO_LONG");
  request = Request("a");
  request.policy.emplace();
  request.policy->budget.kind = BudgetKind::kTargetSparsity;
  EXPECT_EQ(engine.Submit(request).status().code(),
            absl::StatusCode::kFailedPrecondition);
  request.policy->gate = GateChoice{GateChoice::Kind::kNamed, "nothing"};
  EXPECT_EQ(ResourceOf(engine.Submit(request).status())->name, "nothing");
}

}  // namespace
}  // namespace seer
