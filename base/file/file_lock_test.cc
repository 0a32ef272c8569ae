#include "base/file/file_lock.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

TEST(FileLockTest, OneHolderAtATime) {
  const std::string path = testing::TempDir() + "/file_lock";
  absl::optional<FileLock> held;
  {
    absl::StatusOr<FileLock> first = FileLock::Acquire(path);
    ASSERT_TRUE(first.ok()) << first.status();
    held.emplace(*std::move(first));
  }
  // The moved lock still holds.
  const absl::Status second = FileLock::Acquire(path).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.message()), HasSubstr(path));
  held.reset();
  EXPECT_TRUE(FileLock::Acquire(path).ok());
}

TEST(FileLockTest, MissingFolder) {
  const std::string path = testing::TempDir() + "/missing/file_lock";
  const absl::Status status = FileLock::Acquire(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

}  // namespace
}  // namespace seer
