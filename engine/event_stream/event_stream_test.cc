#include "engine/event_stream/event_stream.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/event_stream/event_queue.h"
#include "engine/request.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

DeltaEvent Delta(int32_t index, TokenId token) {
  DeltaEvent delta;
  delta.index = index;
  delta.text = std::to_string(token) + " ";
  delta.token_ids = {token};
  return delta;
}

PromptLogprobsEvent Logprobs(int64_t start, int64_t count) {
  PromptLogprobsEvent event;
  event.start = start;
  event.entries.resize(count);
  for (LogprobEntry& entry : event.entries) entry.top.resize(5);
  return event;
}

EventStreamEnds Make(EventStreamOptions options = {}) {
  return MakeEventStream(options, [] {});
}

template <typename T>
T Next(TokenStream& stream) {
  Event event;
  EXPECT_TRUE(stream.TryNext(&event));
  EXPECT_TRUE(std::holds_alternative<T>(event));
  return std::holds_alternative<T>(event) ? std::get<T>(event) : T();
}

bool Ended(TokenStream& stream) {
  Event event;
  return !stream.TryNext(&event);
}

TEST(EventStream, DeliversInOrder) {
  EventStreamEnds ends = Make();
  EXPECT_TRUE(Ended(*ends.stream));
  ends.outbox.Push(AcceptedEvent{3});
  ends.outbox.Push(PromptProgressEvent{100, 0, 64});
  ends.outbox.Push(Logprobs(1, 63));
  ends.outbox.Push(Delta(0, 7));
  ends.outbox.Push(FinishEvent{0, FinishReason::kStop, "x", {}});
  SummaryEvent summary;
  summary.seed = 42;
  ends.outbox.Push(summary);
  ends.outbox.Push(Delta(0, 8));  // after the last one: dropped
  EXPECT_EQ(Next<AcceptedEvent>(*ends.stream).queue_position, 3);
  EXPECT_EQ(Next<PromptProgressEvent>(*ends.stream).processed, 64);
  EXPECT_EQ(Next<PromptLogprobsEvent>(*ends.stream).entries.size(), 63u);
  EXPECT_EQ(Next<DeltaEvent>(*ends.stream).text, "7 ");
  EXPECT_EQ(Next<FinishEvent>(*ends.stream).stop_string, "x");
  EXPECT_EQ(Next<SummaryEvent>(*ends.stream).seed, 42u);
  EXPECT_TRUE(Ended(*ends.stream));
}

TEST(EventStream, JoinsDeltasOfAChoiceUpToALimit) {
  EventStreamOptions options;
  options.max_delta_tokens = 3;
  EventStreamEnds ends = Make(options);
  for (TokenId token = 1; token <= 4; ++token) {
    for (int32_t index : {0, 1}) {
      DeltaEvent delta = Delta(index, token);
      delta.logprobs.resize(1);
      delta.logprobs[0].token.id = token;
      ends.outbox.Push(delta);
    }
  }
  ends.outbox.Push(FinishEvent{0, FinishReason::kLength, "", {}});
  for (int32_t index : {0, 1}) {
    const DeltaEvent delta = Next<DeltaEvent>(*ends.stream);
    EXPECT_EQ(delta.index, index);
    EXPECT_EQ(delta.text, "1 2 3 ");
    EXPECT_EQ(delta.token_ids, (std::vector<TokenId>{1, 2, 3}));
    ASSERT_EQ(delta.logprobs.size(), 3u);
    EXPECT_EQ(delta.logprobs[2].token.id, 3);
  }
  EXPECT_EQ(Next<DeltaEvent>(*ends.stream).text, "4 ");
  EXPECT_EQ(Next<DeltaEvent>(*ends.stream).text, "4 ");
  Next<FinishEvent>(*ends.stream);
  EXPECT_TRUE(Ended(*ends.stream));
}

TEST(EventStream, KeepsTheLastProgressOnly) {
  EventStreamEnds ends = Make();
  ends.outbox.Push(PromptProgressEvent{300, 0, 64});
  ends.outbox.Push(Logprobs(1, 2));
  ends.outbox.Push(PromptProgressEvent{300, 0, 128});
  EXPECT_EQ(Next<PromptProgressEvent>(*ends.stream).processed, 128);
  Next<PromptLogprobsEvent>(*ends.stream);
  EXPECT_TRUE(Ended(*ends.stream));
}

TEST(EventStream, TellsTheReaderWhenAnEmptyQueueGetsAnEvent) {
  EventStreamEnds ends = Make();
  int calls = 0;
  ends.stream->OnReady([&] { ++calls; });
  EXPECT_EQ(calls, 0);
  ends.outbox.Push(AcceptedEvent{});
  EXPECT_EQ(calls, 1);
  ends.outbox.Push(Delta(0, 1));
  ends.outbox.Push(Delta(1, 1));
  EXPECT_EQ(calls, 1);
  Next<AcceptedEvent>(*ends.stream);
  ends.outbox.Push(Delta(2, 1));
  EXPECT_EQ(calls, 1);
  Event event;
  while (ends.stream->TryNext(&event)) {
  }
  ends.outbox.Push(Delta(0, 2));
  EXPECT_EQ(calls, 2);
}

TEST(EventStream, TellsAtRegistrationIfThereIsAnEvent) {
  EventStreamEnds ends = Make();
  ends.outbox.Push(AcceptedEvent{});
  int calls = 0;
  ends.stream->OnReady([&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(EventStream, ReadyMayRead) {
  EventStreamEnds ends = Make();
  std::string text;
  ends.stream->OnReady([&] {
    Event event;
    while (ends.stream->TryNext(&event))
      text += std::get<DeltaEvent>(event).text;
  });
  for (TokenId token = 0; token < 5; ++token) ends.outbox.Push(Delta(0, token));
  EXPECT_EQ(text, "0 1 2 3 4 ");
}

TEST(EventStream, DestroyingTheStreamCancels) {
  int wakes = 0;
  auto owned = std::make_shared<int>(0);
  std::weak_ptr<int> captured = owned;
  EventStreamEnds ends = MakeEventStream({}, [&] { ++wakes; });
  ends.stream->OnReady([owned] { ++*owned; });
  owned.reset();
  ends.outbox.Push(AcceptedEvent{});
  EXPECT_FALSE(ends.outbox.cancelled());
  EXPECT_FALSE(captured.expired());
  ends.stream.reset();
  EXPECT_TRUE(ends.outbox.cancelled());
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(captured.expired());
  ends.outbox.Push(Delta(0, 1));
  EXPECT_FALSE(ends.outbox.full());
}

TEST(EventStream, ACancelIsSeenWithItsTime) {
  absl::Time at_wake;
  std::optional<EventOutbox> outbox;
  EventStreamEnds ends = MakeEventStream({}, [&] { at_wake = absl::Now(); });
  outbox.emplace(std::move(ends.outbox));
  EXPECT_FALSE(outbox->cancelled_since().has_value());
  const absl::Time before = absl::Now();
  std::atomic<bool> running{false};
  absl::Time seen;
  // The engine looks after the reader went and before it calls `wake`, which
  // waits for this callback.
  ends.stream->OnReady([&] {
    running = true;
    while (!outbox->cancelled()) std::this_thread::yield();
    seen = *outbox->cancelled_since();
  });
  std::thread engine([&] { outbox->Push(AcceptedEvent{}); });
  while (!running) std::this_thread::yield();
  ends.stream.reset();
  engine.join();
  EXPECT_GE(seen, before);
  EXPECT_LE(seen, at_wake);
  EXPECT_EQ(outbox->cancelled_since(), seen);
}

TEST(EventStream, NoCancelAfterTheLastEvent) {
  int wakes = 0;
  EventStreamEnds ends = MakeEventStream({}, [&] { ++wakes; });
  ends.outbox.Push(SummaryEvent{});
  ends.stream.reset();
  EXPECT_EQ(wakes, 0);
}

TEST(EventStream, TheStreamOutlivesTheOutbox) {
  EventStreamEnds ends = Make();
  ends.outbox.Push(Delta(0, 1));
  ends.outbox.Push(SummaryEvent{});
  { EventOutbox gone = std::move(ends.outbox); }
  EXPECT_EQ(Next<DeltaEvent>(*ends.stream).text, "1 ");
  Next<SummaryEvent>(*ends.stream);
  EXPECT_TRUE(Ended(*ends.stream));
}

TEST(EventStream, IsFullFromCapacityUntilHalf) {
  const Event frame = Logprobs(1, 10);
  EventStreamOptions options;
  options.capacity_bytes = 4 * EventBytes(frame);
  int wakes = 0;
  EventStreamEnds ends = MakeEventStream(options, [&] { ++wakes; });
  for (int i = 0; i < 3; ++i) ends.outbox.Push(frame);
  EXPECT_FALSE(ends.outbox.full());
  ends.outbox.Push(frame);
  EXPECT_TRUE(ends.outbox.full());
  ends.outbox.Push(frame);  // taken all the same
  Next<PromptLogprobsEvent>(*ends.stream);
  Next<PromptLogprobsEvent>(*ends.stream);
  EXPECT_TRUE(ends.outbox.full());
  EXPECT_EQ(wakes, 0);
  Next<PromptLogprobsEvent>(*ends.stream);
  EXPECT_FALSE(ends.outbox.full());
  EXPECT_EQ(wakes, 1);
  Next<PromptLogprobsEvent>(*ends.stream);
  Next<PromptLogprobsEvent>(*ends.stream);
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(Ended(*ends.stream));
}

TEST(EventStream, AnEngineThatHeedsFullBoundsMemory) {
  EventStreamOptions options;
  options.capacity_bytes = 20000;
  EventStreamEnds ends = Make(options);
  int64_t pushed = 0;
  for (TokenId token = 0; token < 100000 && !ends.outbox.full(); ++token) {
    ends.outbox.Push(Delta(token % 3, token));
    ++pushed;
  }
  EXPECT_TRUE(ends.outbox.full());
  int64_t tokens = 0;
  int64_t bytes = 0;
  Event event;
  while (ends.stream->TryNext(&event)) {
    tokens += std::get<DeltaEvent>(event).token_ids.size();
    bytes += EventBytes(event);
  }
  EXPECT_EQ(tokens, pushed);
  EXPECT_LE(bytes, options.capacity_bytes);
}

TEST(EventStream, CountsTheBytesOfWhatItHolds) {
  const int64_t empty = EventBytes(PromptLogprobsEvent{});
  EXPECT_GE(EventBytes(Logprobs(1, 1)),
            empty + static_cast<int64_t>(sizeof(LogprobEntry) +
                                         5 * sizeof(TokenLogprob)));
  DeltaEvent delta;
  delta.text.assign(1000, 'x');
  EXPECT_GE(EventBytes(delta), 1000);
  SummaryEvent summary;
  summary.sparsity.layers.resize(32);
  EXPECT_GE(EventBytes(summary),
            static_cast<int64_t>(32 * sizeof(LayerBlocks)));
  EXPECT_GE(EventBytes(FailureEvent{absl::InternalError("0123456789")}), 10);
}

TEST(EventStream, MeasuresHowLongTheReaderStalls) {
  EventStreamEnds ends = Make();
  const absl::Time start = absl::FromUnixSeconds(1000);
  const auto stalled_at = [&](int64_t seconds) {
    return ends.outbox.StalledFor(start + absl::Seconds(seconds));
  };
  EXPECT_EQ(stalled_at(0), absl::ZeroDuration());
  EXPECT_EQ(stalled_at(100), absl::ZeroDuration());  // nothing to read
  ends.outbox.Push(Delta(0, 1));
  EXPECT_EQ(stalled_at(110), absl::ZeroDuration());  // just came
  ends.outbox.Push(Delta(1, 1));  // more of it changes nothing
  EXPECT_EQ(stalled_at(115), absl::Seconds(5));
  EXPECT_EQ(stalled_at(140), absl::Seconds(30));
  Next<DeltaEvent>(*ends.stream);  // one of two: it moves
  EXPECT_EQ(stalled_at(141), absl::ZeroDuration());
  EXPECT_EQ(stalled_at(142), absl::Seconds(1));
  Next<DeltaEvent>(*ends.stream);
  EXPECT_EQ(stalled_at(143), absl::ZeroDuration());
  EXPECT_EQ(stalled_at(200), absl::ZeroDuration());
}

TEST(EventStream, AStalledRequestEndsWithoutWhatWasUndelivered) {
  EventStreamEnds ends = Make();
  int calls = 0;
  ends.stream->OnReady([&] { ++calls; });
  ends.outbox.Push(AcceptedEvent{});
  ends.outbox.Push(Logprobs(1, 1000));
  ends.outbox.DropAndFail(SlowReaderError(absl::Seconds(30)));
  EXPECT_FALSE(ends.outbox.full());
  EXPECT_EQ(calls, 1);
  const absl::Status status = Next<FailureEvent>(*ends.stream).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ReasonOf(status).has_value());
  EXPECT_EQ(ReasonOf(status)->reason, "SLOW_READER");
  EXPECT_TRUE(Ended(*ends.stream));
}

TEST(EventStream, FailingAnEmptyQueueTellsTheReader) {
  EventStreamEnds ends = Make();
  int calls = 0;
  ends.stream->OnReady([&] { ++calls; });
  ends.outbox.DropAndFail(absl::UnavailableError("drained"));
  EXPECT_EQ(calls, 1);
  Next<FailureEvent>(*ends.stream);
}

TEST(EventStream, TheDestructorWaitsForReady) {
  EventStreamEnds ends = Make();
  std::atomic<bool> running{false};
  std::atomic<bool> destroying{false};
  std::atomic<bool> destroyed{false};
  ends.stream->OnReady([&] {
    running = true;
    while (!destroying) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    EXPECT_FALSE(destroyed);
    running = false;
  });
  std::thread engine([&] { ends.outbox.Push(AcceptedEvent{}); });
  while (!running) std::this_thread::yield();
  destroying = true;
  ends.stream.reset();
  destroyed = true;
  EXPECT_FALSE(running);
  engine.join();
}

}  // namespace
}  // namespace seer
