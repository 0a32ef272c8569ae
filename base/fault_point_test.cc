#include "base/fault_point.h"

#include <cerrno>
#include <cstring>

#include "gtest/gtest.h"

namespace seer {
namespace {

int FailSecond(const char* point) {
  return std::strcmp(point, "second") == 0 ? ENOSPC : 0;
}

TEST(FaultPointTest, OnlyAHookMakesAPointFail) {
  errno = 0;
  EXPECT_FALSE(FaultPoint("second"));
  SetFaultHook(&FailSecond);
  EXPECT_FALSE(FaultPoint("first"));
  EXPECT_EQ(errno, 0);
  EXPECT_TRUE(FaultPoint("second"));
  EXPECT_EQ(errno, ENOSPC);
  SetFaultHook(nullptr);
  EXPECT_FALSE(FaultPoint("second"));
}

}  // namespace
}  // namespace seer
