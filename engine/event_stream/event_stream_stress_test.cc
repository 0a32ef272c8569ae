// An engine thread and readers race; every token arrives once and in order,
// nobody sleeps through an event, nothing is touched after its end.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "engine/event_stream/event_stream.h"
#include "engine/request.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int kChoices = 3;
constexpr int kTokens = 400;  // a choice

// A flag that threads sleep on.
class Signal {
 public:
  void Set() {
    std::lock_guard<std::mutex> lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  void WaitAndClear() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return set_; });
    set_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

// Pushes kTokens a choice; holds when full until woken. Returns early when
// cancelled.
void Produce(EventOutbox outbox, std::shared_ptr<Signal> wake) {
  for (int token = 0; token < kTokens; ++token) {
    for (int index = 0; index < kChoices; ++index) {
      while (outbox.full()) wake->WaitAndClear();
      if (outbox.cancelled()) return;
      DeltaEvent delta;
      delta.index = index;
      delta.token_ids = {token};
      outbox.Push(std::move(delta));
    }
  }
  outbox.Push(SummaryEvent{});
}

EventStreamEnds Make(std::shared_ptr<Signal> wake) {
  EventStreamOptions options;
  options.capacity_bytes = 2048;
  options.max_delta_tokens = 16;
  return MakeEventStream(options, [wake] { wake->Set(); });
}

// Sleeps on OnReady between reads. Checks that all arrives.
void ReadAll(TokenStream& stream, Signal& ready) {
  std::vector<int> next(kChoices, 0);
  Event event;
  while (true) {
    if (!stream.TryNext(&event)) {
      ready.WaitAndClear();
      continue;
    }
    if (IsLast(event)) break;
    const DeltaEvent& delta = std::get<DeltaEvent>(event);
    ASSERT_LE(delta.token_ids.size(), 16u);
    for (const TokenId token : delta.token_ids) {
      ASSERT_EQ(token, next[delta.index]++);
    }
  }
  EXPECT_EQ(next, std::vector<int>(kChoices, kTokens));
  EXPECT_FALSE(stream.TryNext(&event));
}

TEST(EventStreamStress, EveryTokenArrivesOnceInOrder) {
  for (int round = 0; round < 40; ++round) {
    auto wake = std::make_shared<Signal>();
    EventStreamEnds ends = Make(wake);
    Signal ready;
    std::thread engine(Produce, std::move(ends.outbox), wake);
    ends.stream->OnReady([&] { ready.Set(); });
    ReadAll(*ends.stream, ready);
    engine.join();
  }
}

TEST(EventStreamStress, ReadersThatReadInReadySeeEverything) {
  for (int round = 0; round < 40; ++round) {
    auto wake = std::make_shared<Signal>();
    EventStreamEnds ends = Make(wake);
    Signal ended;
    // Not atomic: `ready` never runs twice at a time.
    std::vector<int> next(kChoices, 0);
    std::thread engine(Produce, std::move(ends.outbox), wake);
    ends.stream->OnReady([&] {
      Event event;
      while (ends.stream->TryNext(&event)) {
        if (IsLast(event)) return ended.Set();
        const DeltaEvent& delta = std::get<DeltaEvent>(event);
        for (const TokenId token : delta.token_ids) {
          EXPECT_EQ(token, next[delta.index]++);
        }
      }
    });
    ended.WaitAndClear();
    engine.join();
    EXPECT_EQ(next, std::vector<int>(kChoices, kTokens));
  }
}

// Streams are destroyed at random moments; the engine's thread must come back
// even if it was held, and `ready` must not touch what is gone.
TEST(EventStreamStress, CancelsAtAnyMoment) {
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    auto wake = std::make_shared<Signal>();
    EventStreamEnds ends = Make(wake);
    auto alive = std::make_unique<int>(1);  // freed right after the stream
    Signal ready;
    std::thread engine(Produce, std::move(ends.outbox), wake);
    ends.stream->OnReady([&ready, reader = alive.get()] {
      ++*reader;
      ready.Set();
    });
    const int reads = random() % 60;
    Event event;
    for (int i = 0; i < reads; ++i) {
      if (ends.stream->TryNext(&event)) {
        if (IsLast(event)) break;
      } else {
        ready.WaitAndClear();
      }
    }
    for (int i = random() % 50; i > 0; --i) std::this_thread::yield();
    ends.stream.reset();
    alive.reset();
    engine.join();
  }
}

// One engine thread serves many streams, as in the engine.
TEST(EventStreamStress, ManyStreamsOneProducer) {
  constexpr int kStreams = 8;
  auto wake = std::make_shared<Signal>();
  std::vector<EventOutbox> outboxes;
  std::vector<std::thread> readers;
  for (int i = 0; i < kStreams; ++i) {
    EventStreamEnds ends = Make(wake);
    outboxes.push_back(std::move(ends.outbox));
    readers.emplace_back([i, stream = std::move(ends.stream)]() mutable {
      Signal ready;
      stream->OnReady([&] { ready.Set(); });
      if (i % 4 == 3) return stream.reset();  // never reads
      ReadAll(*stream, ready);
      stream.reset();  // before what `ready` touches
    });
  }
  std::vector<int> pushed(kStreams, 0);  // tokens, over the choices
  int unfinished = kStreams;
  while (unfinished > 0) {
    bool progress = false;
    for (int i = 0; i < kStreams; ++i) {
      if (pushed[i] < 0) continue;
      if (outboxes[i].cancelled()) {
        pushed[i] = -1;
        --unfinished;
        continue;
      }
      if (outboxes[i].full()) continue;
      progress = true;
      if (pushed[i] == kTokens * kChoices) {
        outboxes[i].Push(SummaryEvent{});
        pushed[i] = -1;
        --unfinished;
        continue;
      }
      DeltaEvent delta;
      delta.index = pushed[i] % kChoices;
      delta.token_ids = {pushed[i] / kChoices};
      outboxes[i].Push(std::move(delta));
      ++pushed[i];
    }
    if (!progress && unfinished > 0) wake->WaitAndClear();
  }
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace seer
