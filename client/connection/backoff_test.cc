#include "client/connection/backoff.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Le;

RetryOptions Options(int max_attempts) {
  RetryOptions options;
  options.max_attempts = max_attempts;
  options.initial_backoff = absl::Milliseconds(100);
  options.max_backoff = absl::Milliseconds(300);
  return options;
}

TEST(BackoffTest, DoublesUpToTheMaximum) {
  Backoff backoff(Options(5), 7);
  EXPECT_THAT(*backoff.Next(std::nullopt),
              AllOf(Ge(absl::Milliseconds(50)), Le(absl::Milliseconds(100))));
  EXPECT_THAT(*backoff.Next(std::nullopt),
              AllOf(Ge(absl::Milliseconds(100)), Le(absl::Milliseconds(200))));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(
        *backoff.Next(std::nullopt),
        AllOf(Ge(absl::Milliseconds(150)), Le(absl::Milliseconds(300))));
  }
  EXPECT_EQ(backoff.Next(std::nullopt), std::nullopt);
}

TEST(BackoffTest, OneAttemptNeverWaits) {
  EXPECT_EQ(Backoff(Options(1), 7).Next(absl::Seconds(1)), std::nullopt);
}

TEST(BackoffTest, WaitsAsLongAsTheServerAsks) {
  Backoff backoff(Options(3), 7);
  EXPECT_EQ(backoff.Next(absl::Seconds(20)), absl::Seconds(20));
  EXPECT_THAT(*backoff.Next(absl::Milliseconds(1)),
              AllOf(Ge(absl::Milliseconds(100)), Le(absl::Milliseconds(200))));
}

TEST(BackoffTest, SeedsDecideTheWaits) {
  Backoff first(Options(3), 1);
  Backoff same(Options(3), 1);
  Backoff other(Options(3), 2);
  const auto wait = first.Next(std::nullopt);
  EXPECT_EQ(wait, same.Next(std::nullopt));
  EXPECT_NE(wait, other.Next(std::nullopt));
}

}  // namespace
}  // namespace seer
