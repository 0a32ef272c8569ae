#include "engine/scheduler/admission.h"

#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/errors.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

AdmissionOptions Options(int64_t max_waiting, int64_t max_backlog) {
  AdmissionOptions options;
  options.max_waiting_requests = max_waiting;
  options.max_backlog_tokens = max_backlog;
  options.initial_tokens_per_second = 100.0;
  EXPECT_TRUE(options.Validate().ok());
  return options;
}

std::string Reason(const absl::Status& status) {
  return ReasonOf(status).value_or(ErrorReason()).reason;
}

TEST(AdmissionOptions, RefusesBadValues) {
  const auto invalid = [](auto change) {
    AdmissionOptions options;
    change(options);
    return options.Validate().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(AdmissionOptions().Validate().ok());
  EXPECT_TRUE(invalid([](auto& o) { o.max_waiting_requests = 0; }));
  EXPECT_TRUE(invalid([](auto& o) { o.max_backlog_tokens = 0; }));
  EXPECT_TRUE(invalid([](auto& o) { o.initial_tokens_per_second = 0.0; }));
  EXPECT_TRUE(invalid([](auto& o) {
    o.initial_tokens_per_second = std::numeric_limits<double>::quiet_NaN();
  }));
  EXPECT_TRUE(
      invalid([](auto& o) { o.averaging_time = absl::ZeroDuration(); }));
  EXPECT_TRUE(
      invalid([](auto& o) { o.min_retry_delay = absl::ZeroDuration(); }));
  EXPECT_TRUE(
      invalid([](auto& o) { o.max_retry_delay = absl::Nanoseconds(1); }));
  EXPECT_TRUE(
      invalid([](auto& o) { o.max_retry_delay = absl::InfiniteDuration(); }));
}

TEST(Admission, CountsPlacesUntilTheyAreGone) {
  Admission admission(Options(10, 1000));
  {
    auto first = admission.Enter(30);
    auto second = admission.Enter(50);
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_EQ(first->queue_position(), 0);
    EXPECT_EQ(second->queue_position(), 1);
    EXPECT_EQ(admission.load().waiting_requests, 2);
    EXPECT_EQ(admission.load().backlog_tokens, 80);

    first->Start();
    first->Start();
    EXPECT_EQ(admission.load().waiting_requests, 1);
    EXPECT_EQ(admission.load().backlog_tokens, 80);
    first->Advance(20);
    EXPECT_EQ(admission.load().backlog_tokens, 60);
    first->Advance(20);  // more than it has
    EXPECT_EQ(admission.load().backlog_tokens, 50);

    Admission::Place moved = *std::move(second);
    EXPECT_EQ(admission.load().waiting_requests, 1);
    moved = Admission::Place();  // leaves while waiting
    EXPECT_EQ(admission.load().waiting_requests, 0);
    EXPECT_EQ(admission.load().backlog_tokens, 0);
  }
  EXPECT_EQ(admission.load().waiting_requests, 0);
  EXPECT_EQ(admission.load().backlog_tokens, 0);
}

TEST(Admission, LeavesOnceHoweverOftenMoved) {
  Admission admission(Options(10, 1000));
  std::vector<Admission::Place> places;
  for (int i = 0; i < 5; ++i) places.push_back(*admission.Enter(10));
  places.erase(places.begin() + 1);
  EXPECT_EQ(admission.load().waiting_requests, 4);
  EXPECT_EQ(admission.load().backlog_tokens, 40);
  places.clear();
  EXPECT_EQ(admission.load().waiting_requests, 0);
  EXPECT_EQ(admission.load().backlog_tokens, 0);
}

TEST(Admission, RefusesWhenTheQueueIsFull) {
  Admission admission(Options(2, 100000));
  auto first = admission.Enter(300);
  auto second = admission.Enter(500);
  const absl::Status refused = admission.Enter(1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reason(refused), "QUEUE_FULL");
  EXPECT_EQ(ReasonOf(refused)->limit, 2);
  // 800 tokens in 2 requests at 100 a second: one starts about every 4 s.
  EXPECT_EQ(RetryDelayOf(refused), absl::Seconds(4));
  EXPECT_EQ(admission.load().waiting_requests, 2);
  first->Start();
  EXPECT_TRUE(admission.Enter(1).ok());
}

TEST(Admission, RefusesWhenTheBacklogIsFull) {
  Admission admission(Options(10, 1000));
  auto first = admission.Enter(900);
  EXPECT_TRUE(admission.Enter(100).ok());  // and leaves
  const absl::Status refused = admission.Enter(600).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reason(refused), "BACKLOG_FULL");
  EXPECT_EQ(ReasonOf(refused)->limit, 1000);
  EXPECT_EQ(ReasonOf(refused)->got, 1500);
  // Fits once 500 tokens are computed, 100 a second.
  EXPECT_EQ(RetryDelayOf(refused), absl::Seconds(5));
  first->Start();
  first->Advance(500);
  EXPECT_TRUE(admission.Enter(600).ok());
}

TEST(Admission, LetsOneLongRequestInAlone) {
  Admission admission(Options(10, 1000));
  EXPECT_TRUE(admission.Enter(5000).ok());
  auto small = admission.Enter(1);
  const absl::Status refused = admission.Enter(5000).status();
  EXPECT_EQ(Reason(refused), "BACKLOG_FULL");
  // No more can drain than is there.
  EXPECT_EQ(RetryDelayOf(refused), absl::Milliseconds(100));
}

TEST(Admission, KeepsRetryDelaysInBounds) {
  AdmissionOptions options = Options(1, 1000);
  options.min_retry_delay = absl::Seconds(2);
  options.max_retry_delay = absl::Seconds(3);
  Admission quick(options);
  auto place = quick.Enter(1);
  EXPECT_EQ(RetryDelayOf(quick.Enter(1).status()), absl::Seconds(2));
  Admission slow(options);
  auto longer = slow.Enter(1000);
  EXPECT_EQ(RetryDelayOf(slow.Enter(1).status()), absl::Seconds(3));
}

TEST(Admission, RefusesAllWhenDraining) {
  Admission admission(Options(10, 1000));
  auto first = admission.Enter(200);
  EXPECT_FALSE(admission.load().draining);
  admission.StartDraining();
  EXPECT_TRUE(admission.load().draining);
  const absl::Status refused = admission.Enter(1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Reason(refused), "DRAINING");
  EXPECT_EQ(RetryDelayOf(refused), absl::Seconds(2));
}

TEST(Admission, LearnsTheThroughputFromSteps) {
  Admission admission(Options(10, 1 << 20));
  EXPECT_EQ(admission.load().tokens_per_second, 100.0);
  EXPECT_EQ(admission.load().predicted_queue_delay, absl::ZeroDuration());
  // Without a backlog a step says nothing about prompts.
  admission.RecordStep(0, absl::Seconds(50));
  EXPECT_EQ(admission.load().tokens_per_second, 100.0);

  auto place = admission.Enter(1 << 19);
  for (int i = 0; i < 1000; ++i) {
    admission.RecordStep(500, absl::Seconds(0.5));
  }
  // The initial value is forgotten: exp(-500 / 30) of it is left.
  EXPECT_NEAR(admission.load().tokens_per_second, 1000.0, 1e-3);
  EXPECT_NEAR(absl::ToDoubleSeconds(admission.load().predicted_queue_delay),
              (1 << 19) / 1000.0, 1e-3);
  // Steps that compute none of the backlog (no free pages) slow it down.
  for (int i = 0; i < 60; ++i) admission.RecordStep(0, absl::Seconds(0.5));
  EXPECT_LT(admission.load().tokens_per_second, 500.0);
  EXPECT_GT(admission.load().tokens_per_second, 300.0);
  for (int i = 0; i < 10000; ++i) admission.RecordStep(0, absl::Seconds(1));
  EXPECT_GT(admission.load().tokens_per_second, 0.0);
  EXPECT_LT(admission.load().predicted_queue_delay, absl::InfiniteDuration());
}

TEST(Admission, KeepsCountUnderThreads) {
  constexpr int kThreads = 4;
  Admission admission(Options(3, 400));
  std::vector<std::thread> threads;
  std::vector<int> admitted(kThreads, 0);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        auto place = admission.Enter(1 + (i * 7 + t) % 200);
        const Admission::Load load = admission.load();
        EXPECT_LE(load.waiting_requests, 3);
        EXPECT_LE(load.backlog_tokens, 400);
        if (!place.ok()) continue;
        ++admitted[t];
        if (i % 2 == 0) place->Start();
        place->Advance(i % 100);
        admission.RecordStep(i % 100, absl::Microseconds(10));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : admitted) EXPECT_GT(count, 0);
  EXPECT_EQ(admission.load().waiting_requests, 0);
  EXPECT_EQ(admission.load().backlog_tokens, 0);
}

}  // namespace
}  // namespace seer
