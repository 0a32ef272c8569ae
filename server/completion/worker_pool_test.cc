#include "server/completion/worker_pool.h"

#include <atomic>
#include <future>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(WorkerPoolTest, RunsEveryAcceptedTaskBeforeItEnds) {
  std::atomic<int> ran{0};
  int accepted = 0;
  {
    WorkerPool pool(3, 1000);
    for (int i = 0; i < 200; ++i) accepted += pool.TryRun([&] { ++ran; });
  }
  EXPECT_EQ(accepted, 200);
  EXPECT_EQ(ran, 200);
}

TEST(WorkerPoolTest, RefusesWhatWouldWaitTooLong) {
  std::promise<void> started, release;
  std::atomic<int> ran{0};
  {
    WorkerPool pool(1, 2);
    ASSERT_TRUE(pool.TryRun([&] {
      started.set_value();
      release.get_future().wait();
    }));
    started.get_future().wait();
    EXPECT_TRUE(pool.TryRun([&] { ++ran; }));
    EXPECT_TRUE(pool.TryRun([&] { ++ran; }));
    EXPECT_FALSE(pool.TryRun([&] { ran = 100; }));
    release.set_value();
  }
  EXPECT_EQ(ran, 2);
}

}  // namespace
}  // namespace seer
