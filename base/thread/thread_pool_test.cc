#include "base/thread/thread_pool.h"

#include <atomic>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "base/thread/mutex.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(InlineExecutorTest, RunsItemsInOrder) {
  InlineExecutor executor;
  std::vector<int64_t> items;
  executor.ParallelFor(3, [&](int64_t i) { items.push_back(i); });
  EXPECT_EQ(items, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(executor.num_threads(), 1);
}

TEST(ThreadPoolTest, CountsTheCaller) {
  EXPECT_EQ(ThreadPool(-1).num_threads(), 1);
  EXPECT_EQ(ThreadPool(1).num_threads(), 1);
  EXPECT_EQ(ThreadPool(4).num_threads(), 4);
}

TEST(ThreadPoolTest, RunsEachItemOnce) {
  for (const int num_threads : {1, 2, 5}) {
    ThreadPool pool(num_threads);
    for (const int64_t n : {-1, 0, 1, 2, 3, 1000}) {
      // Plain ints: each is written by one thread, and read after the loop.
      std::vector<int> runs(n > 0 ? n : 0, 0);
      pool.ParallelFor(n, [&](int64_t i) { ++runs[i]; });
      EXPECT_EQ(runs, std::vector<int>(runs.size(), 1))
          << num_threads << " threads, " << n << " items";
    }
  }
}

TEST(ThreadPoolTest, RunsItemsAtTheSameTime) {
  ThreadPool pool(3);
  // Ends only if three items meet.
  std::atomic<int> arrived{0};
  pool.ParallelFor(3, [&](int64_t) {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 3);
}

TEST(ThreadPoolTest, ManyShortLoops) {
  ThreadPool pool(4);
  int64_t sum = 0;
  std::vector<int64_t> parts(7);
  for (int round = 0; round < 2000; ++round) {
    pool.ParallelFor(7, [&](int64_t i) { parts[i] = i + round; });
    for (const int64_t part : parts) sum += part;
  }
  EXPECT_EQ(sum, 2000 * 21 + 7 * (2000 * 1999 / 2));
}

TEST(ThreadPoolTest, LoopsOfSeveralCallers) {
  ThreadPool pool(3);
  std::vector<int64_t> sums(4, 0);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&pool, &sum = sums[caller]] {
      for (int round = 0; round < 100; ++round) {
        std::atomic<int64_t> loop_sum{0};
        pool.ParallelFor(50, [&](int64_t i) { loop_sum += i; });
        sum += loop_sum;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sums, std::vector<int64_t>(4, 100 * 1225));
}

TEST(ThreadPoolTest, LoopInsideALoop) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  pool.ParallelFor(8, [&](int64_t i) {
    pool.ParallelFor(8, [&](int64_t j) { sum += 8 * i + j; });
  });
  EXPECT_EQ(sum, 63 * 64 / 2);
}

TEST(ThreadPoolTest, CallerTakesPart) {
  ThreadPool pool(2);
  Mutex mutex;
  std::set<std::thread::id> threads;
  std::atomic<int> arrived{0};
  pool.ParallelFor(2, [&](int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
    MutexLock lock(&mutex);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(threads.count(std::this_thread::get_id()), 1u);
  EXPECT_EQ(threads.size(), 2u);
}

}  // namespace
}  // namespace seer
