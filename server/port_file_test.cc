#include "server/port_file.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace seer {
namespace {

class PortFileTest : public testing::Test {
 protected:
  ~PortFileTest() override { unlink(path_.c_str()); }

  // What a reader finds; "none" where there is no file.
  std::string Content() const {
    std::ifstream file(path_);
    if (!file) return "none";
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string path_ =
      testing::TempDir() + "/port_of_" +
      testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(PortFileTest, IsThereWhileServing) {
  {
    PortFile file(path_);
    EXPECT_EQ(Content(), "none");
    ASSERT_TRUE(file.Write(8470).ok());
    EXPECT_EQ(Content(), "8470\n");
  }
  EXPECT_EQ(Content(), "none");
}

TEST_F(PortFileTest, OneThatNeverServesTouchesNothing) {
  PortFile running(path_);
  ASSERT_TRUE(running.Write(8470).ok());
  { PortFile failed(path_); }
  EXPECT_EQ(Content(), "8470\n");
}

TEST_F(PortFileTest, ASuccessorsFileStays) {
  for (const int port : {8471, 8470}) {  // also where it took over the port
    PortFile successor(path_);
    {
      PortFile old(path_);
      ASSERT_TRUE(old.Write(8470).ok());
      ASSERT_TRUE(successor.Write(port).ok());
    }
    EXPECT_EQ(Content(), std::to_string(port) + "\n");
  }
  EXPECT_EQ(Content(), "none");
}

TEST_F(PortFileTest, TakesThePlaceOfOneThatWasLeft) {
  std::ofstream(path_) << "1\n";
  {
    PortFile file(path_);
    EXPECT_EQ(Content(), "1\n");
    ASSERT_TRUE(file.Write(8470).ok());
    EXPECT_EQ(Content(), "8470\n");
  }
  EXPECT_EQ(Content(), "none");
}

TEST_F(PortFileTest, NoPathIsNoFile) {
  EXPECT_TRUE(PortFile("").Write(1).ok());
}

TEST_F(PortFileTest, AFolderThatIsMissingIsAnError) {
  EXPECT_FALSE(PortFile(path_ + "/none/port").Write(1).ok());
}

}  // namespace
}  // namespace seer
