#include "base/file/atomic_file.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class AtomicFileTest : public testing::Test {
 protected:
  AtomicFileTest() {
    std::string folder = testing::TempDir() + "/atomic_file.XXXXXX";
    folder_ = mkdtemp(folder.data());
  }
  ~AtomicFileTest() override { std::filesystem::remove_all(folder_); }

  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.insert(entry.path().filename());
    }
    return names;
  }

  std::string folder_;
};

TEST_F(AtomicFileTest, WritesThePiecesInOrder) {
  const std::string path = folder_ + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, {"one ", "", "two"}).ok());
  EXPECT_EQ(ReadFile(path), "one two");
  EXPECT_THAT(Names(), UnorderedElementsAre("file"));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644u);
}

TEST_F(AtomicFileTest, ReplacesTheOldFile) {
  const std::string path = folder_ + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, {"a longer old content"}).ok());
  std::ifstream old_file(path);
  ASSERT_TRUE(WriteFileAtomically(path, {"new"}).ok());
  EXPECT_EQ(ReadFile(path), "new");
  // A reader that came before keeps the whole old file.
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(old_file), {}),
            "a longer old content");
}

TEST_F(AtomicFileTest, NoPiecesMakeAnEmptyFile) {
  const std::string path = folder_ + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, {}).ok());
  EXPECT_EQ(ReadFile(path), "");
}

TEST_F(AtomicFileTest, MissingFolder) {
  const std::string path = folder_ + "/missing/file";
  const absl::Status status = WriteFileAtomically(path, {"x"});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

TEST_F(AtomicFileTest, FailedRenameLeavesNothingBehind) {
  const std::string path = folder_ + "/file";
  std::filesystem::create_directory(path);
  EXPECT_FALSE(WriteFileAtomically(path, {"x"}).ok());
  EXPECT_THAT(Names(), UnorderedElementsAre("file"));
}

}  // namespace
}  // namespace seer
