#include "base/thread/bounded_queue.h"

#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(BoundedQueueTest, FirstInFirstOut) {
  BoundedQueue<int> queue(3);
  EXPECT_EQ(queue.capacity(), 3u);
  for (const int i : {1, 2, 3}) EXPECT_TRUE(queue.TryPush(int{i}));
  EXPECT_EQ(queue.size(), 3u);
  for (const int i : {1, 2, 3}) EXPECT_EQ(queue.TryPop(), i);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueueTest, FullQueueLeavesTheItem) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.TryPush(std::make_unique<int>(1)));
  auto item = std::make_unique<int>(2);
  EXPECT_FALSE(queue.TryPush(std::move(item)));
  ASSERT_NE(item, nullptr);
  EXPECT_EQ(**queue.TryPop(), 1);
  EXPECT_TRUE(queue.TryPush(std::move(item)));
  EXPECT_EQ(**queue.Pop(), 2);
}

TEST(BoundedQueueTest, CapacityZeroRefuses) {
  BoundedQueue<int> queue(0);
  EXPECT_FALSE(queue.TryPush(1));
}

TEST(BoundedQueueTest, ClosedQueueGivesWhatItHolds) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_FALSE(queue.closed());
  queue.Close();
  queue.Close();
  EXPECT_TRUE(queue.closed());
  EXPECT_FALSE(queue.TryPush(2));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, PopWaitsForAnItem) {
  BoundedQueue<int> queue(1);
  std::thread producer([&queue] {
    absl::SleepFor(absl::Milliseconds(10));
    EXPECT_TRUE(queue.TryPush(7));
  });
  EXPECT_EQ(queue.Pop(), 7);
  producer.join();
}

TEST(BoundedQueueTest, CloseWakesEveryConsumer) {
  BoundedQueue<int> queue(1);
  std::vector<std::thread> consumers;
  for (int i = 0; i < 3; ++i) {
    consumers.emplace_back([&queue] { EXPECT_EQ(queue.Pop(), std::nullopt); });
  }
  queue.Close();
  for (std::thread& consumer : consumers) consumer.join();
}

TEST(BoundedQueueTest, PopWithTimeoutGivesUp) {
  BoundedQueue<int> queue(1);
  const absl::Time start = absl::Now();
  EXPECT_EQ(queue.PopWithTimeout(absl::Milliseconds(20)), std::nullopt);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(19));
  EXPECT_EQ(queue.PopWithTimeout(-absl::Seconds(1)), std::nullopt);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_EQ(queue.PopWithTimeout(absl::InfiniteDuration()), 1);
}

TEST(BoundedQueueTest, ManyProducersAndConsumers) {
  constexpr int kItemsEach = 2000;
  BoundedQueue<int> queue(8);
  std::vector<std::thread> producers;
  for (int i = 0; i < 3; ++i) {
    producers.emplace_back([&queue] {
      for (int item = 1; item <= kItemsEach; ++item) {
        while (!queue.TryPush(int{item})) std::this_thread::yield();
      }
    });
  }
  std::vector<int64_t> sums(3, 0);
  std::vector<std::thread> consumers;
  for (int64_t& sum : sums) {
    consumers.emplace_back([&queue, &sum] {
      while (const std::optional<int> item = queue.Pop()) sum += *item;
    });
  }
  for (std::thread& producer : producers) producer.join();
  queue.Close();
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), int64_t{0}),
            int64_t{3} * kItemsEach * (kItemsEach + 1) / 2);
}

}  // namespace
}  // namespace seer
