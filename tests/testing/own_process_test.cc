#include "tests/testing/own_process.h"

#include <unistd.h>

#include <cstdlib>

#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(OwnProcessTest, PassesAndKeepsItsTraces) {
  static int traces = 0;
  ExpectPassesInItsOwnProcess(60, [] { EXPECT_EQ(++traces, 1); });
  EXPECT_EQ(traces, 0);
}

TEST(OwnProcessTest, SeesWhoLeavesEarly) {
  EXPECT_NONFATAL_FAILURE(
      ExpectPassesInItsOwnProcess(60, [] { std::_Exit(3); }),
      "Exited with exit status 3");
}

TEST(OwnProcessTest, EndsWhatHangs) {
  EXPECT_NONFATAL_FAILURE(ExpectPassesInItsOwnProcess(1, [] { pause(); }),
                          "Terminated by signal 14");
}

}  // namespace
}  // namespace seer
