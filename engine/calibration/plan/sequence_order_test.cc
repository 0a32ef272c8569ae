#include "engine/calibration/plan/sequence_order.h"

#include <algorithm>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

std::vector<int64_t> Epoch(SequenceOrder& order, int64_t epoch) {
  std::vector<int64_t> sequences;
  for (int64_t i = 0; i < order.num_training(); ++i) {
    sequences.push_back(order.At(epoch * order.num_training() + i));
  }
  return sequences;
}

TEST(SequenceOrderTest, EveryEpochIsAllThatIsNotHeldOut) {
  SequenceOrder order(50, 0.1, 7);
  EXPECT_EQ(order.held_out().size(), 5u);
  std::vector<int64_t> last;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<int64_t> sequences = Epoch(order, epoch);
    std::set<int64_t> seen(sequences.begin(), sequences.end());
    seen.insert(order.held_out().begin(), order.held_out().end());
    EXPECT_EQ(seen.size(), 50u);
    EXPECT_EQ(*seen.rbegin(), 49);
    EXPECT_NE(sequences, last) << "shuffled anew";
    EXPECT_FALSE(std::is_sorted(sequences.begin(), sequences.end()));
    last = sequences;
  }
}

TEST(SequenceOrderTest, IsAFunctionOfTheSeed) {
  SequenceOrder order(40, 0.25, 1);
  SequenceOrder again(40, 0.25, 1);
  SequenceOrder other(40, 0.25, 1ull << 32 | 1);
  EXPECT_EQ(order.held_out(), again.held_out());
  EXPECT_NE(order.held_out(), other.held_out()) << "all bits of the seed";
  // Whatever was asked for before.
  const int64_t late = order.At(100);
  EXPECT_EQ(again.At(3), order.At(3));
  EXPECT_EQ(again.At(100), late);
}

TEST(SequenceOrderTest, OneIsAlwaysHeldOutAndOneLeft) {
  for (const double fraction : {1e-9, 0.5}) {
    SequenceOrder order(2, fraction, 3);
    ASSERT_EQ(order.held_out().size(), 1u);
    EXPECT_EQ(order.At(0), 1 - order.held_out()[0]);
    EXPECT_EQ(order.At(9), order.At(0));
  }
  EXPECT_EQ(SequenceOrder(11, 0.5, 3).num_training(), 5);
}

}  // namespace
}  // namespace seer
