#include "engine/llama_engine/requests/inbox.h"

#include <atomic>
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "engine/errors.h"
#include "engine/event_stream/event_stream.h"
#include "engine/tokenizer/stop_strings.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_tokenizer.h"

namespace seer {
namespace {

const Tokenizer* TinyTokenizer() {
  static const Tokenizer* const tokenizer = LoadTinyTokenizer().release();
  return tokenizer;
}

std::unique_ptr<RequestRun> NewRun() {
  RequestRun::Init init;
  init.request.prompt = {5};
  init.stop_strings = *StopStrings::Make({});
  init.tokenizer = TinyTokenizer();
  EventStreamEnds ends = MakeEventStream({}, [] {});
  return std::make_unique<RequestRun>(std::move(init), std::move(ends.outbox));
}

TEST(InboxTest, HandsOverAndWaits) {
  Inbox inbox;
  EXPECT_TRUE(inbox.Take(absl::InfinitePast()).added.empty());
  ASSERT_TRUE(inbox.Add(NewRun()).ok());
  ASSERT_TRUE(inbox.Add(NewRun()).ok());
  EXPECT_EQ(inbox.Take(absl::InfiniteFuture()).added.size(), 2u);
  std::thread later([&] {
    absl::SleepFor(absl::Milliseconds(5));
    inbox.Wake();
  });
  EXPECT_TRUE(inbox.Take(absl::InfiniteFuture()).added.empty());
  later.join();
}

TEST(InboxTest, ATaskWakesTheEngineAndIsWaitedFor) {
  Inbox inbox;
  std::thread::id ran_on;
  std::thread engine([&] {
    for (bool stop = false; !stop;) {
      Inbox::Orders orders = inbox.Take(absl::InfiniteFuture());
      for (Inbox::Task& task : orders.tasks) task();
      stop = orders.stop;
    }
  });
  const std::thread::id engine_id = engine.get_id();
  EXPECT_EQ(inbox.RunBetweenSteps([&] {
    ran_on = std::this_thread::get_id();
    return absl::NotFoundError("as the task says");
  }),
            absl::NotFoundError("as the task says"));
  EXPECT_EQ(ran_on, engine_id);
  inbox.Stop();
  engine.join();
  const auto must_not_run = [] {
    ADD_FAILURE();
    return absl::OkStatus();
  };
  EXPECT_EQ(inbox.RunBetweenSteps(must_not_run).code(),
            absl::StatusCode::kUnavailable);
  Inbox failed;
  failed.SetUnhealthy();
  EXPECT_EQ(failed.RunBetweenSteps(must_not_run).code(),
            absl::StatusCode::kInternal);
}

TEST(InboxTest, DrainWaitsForAllRequests) {
  Inbox inbox;
  ASSERT_TRUE(inbox.Add(NewRun()).ok());
  std::atomic<bool> drained{false};
  const absl::Time deadline = absl::Now() + absl::Hours(1);
  std::thread drain([&] {
    EXPECT_EQ(inbox.Drain(deadline, absl::ZeroDuration()),
              Inbox::Drained::kAllFinished);
    drained = true;
  });
  while (!inbox.draining()) std::this_thread::yield();
  const absl::Status refused = inbox.Add(NewRun());
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  EXPECT_FALSE(drained);
  EXPECT_EQ(inbox.Take(absl::InfiniteFuture()).drain_deadline, deadline);
  inbox.RecordEnded(1, false);
  drain.join();
  EXPECT_TRUE(drained);
}

TEST(InboxTest, DrainTellsOfRequestsThatWereCut) {
  Inbox inbox;
  ASSERT_TRUE(inbox.Add(NewRun()).ok());
  std::thread engine([&] {
    while (absl::Now() < inbox.Take(absl::InfinitePast()).drain_deadline) {
      std::this_thread::yield();
    }
    inbox.RecordEnded(1, true);
  });
  EXPECT_EQ(inbox.Drain(absl::Now() + absl::Milliseconds(5), absl::Hours(1)),
            Inbox::Drained::kSomeCut);
  engine.join();
}

TEST(InboxTest, DrainGivesUpAnEngineThatHangs) {
  Inbox inbox;
  ASSERT_TRUE(inbox.Add(NewRun()).ok());
  EXPECT_EQ(inbox.Drain(absl::Now(), absl::Milliseconds(1)),
            Inbox::Drained::kStillRunning);
  EXPECT_EQ(inbox.CheckOpen().code(), absl::StatusCode::kUnavailable);
}

TEST(InboxTest, AnUnhealthyEngineTakesNothing) {
  Inbox inbox;
  EXPECT_TRUE(inbox.CheckOpen().ok());
  inbox.SetUnhealthy();
  EXPECT_FALSE(inbox.healthy());
  EXPECT_EQ(inbox.CheckOpen().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(inbox.Add(NewRun()).code(), absl::StatusCode::kInternal);
}

TEST(InboxTest, StopEndsTheWait) {
  Inbox inbox;
  std::thread later([&] { inbox.Stop(); });
  EXPECT_TRUE(inbox.Take(absl::InfiniteFuture()).stop);
  later.join();
  EXPECT_EQ(inbox.CheckOpen().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace seer
