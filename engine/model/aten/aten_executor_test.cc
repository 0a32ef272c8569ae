#include "engine/model/aten/aten_executor.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(AtenExecutorTest, CallsEveryItemOnce) {
  AtenExecutor executor(3);
  executor.BindThisThread();
  EXPECT_EQ(executor.num_threads(), 3);
  for (const int64_t n : {0, 1, 2, 3, 4, 1000}) {
    std::vector<std::atomic<int>> calls(n);
    executor.ParallelFor(n, [&](int64_t i) { ++calls[i]; });
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(calls[i], 1) << i;
  }
}

TEST(AtenExecutorTest, ItemsRunAtTheSameTime) {
  AtenExecutor executor(2);
  executor.BindThisThread();
  // Each item waits for the other: one thread alone would never end.
  std::atomic<int> arrived{0};
  executor.ParallelFor(2, [&](int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

}  // namespace
}  // namespace seer
