#include "base/file/mapped_file.h"

#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

std::string WriteFile(const std::string& name, const std::string& content) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string Content(const MappedFile& file) {
  return std::string(file.bytes().begin(), file.bytes().end());
}

TEST(MappedFileTest, HoldsTheWholeFile) {
  const std::string content("a\0b\n", 4);
  const auto file = MappedFile::Open(WriteFile("whole", content));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Content(*file), content);
}

TEST(MappedFileTest, EmptyFile) {
  const auto file = MappedFile::Open(WriteFile("empty", ""));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFileTest, MovesKeepTheBytes) {
  auto first = MappedFile::Open(WriteFile("first", "first"));
  auto second = MappedFile::Open(WriteFile("second", "second"));
  ASSERT_TRUE(first.ok() && second.ok());
  const uint8_t* const data = first->bytes().data();
  MappedFile moved = *std::move(first);
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_EQ(Content(moved), "first");
  moved = *std::move(second);
  EXPECT_EQ(Content(moved), "second");
}

TEST(MappedFileTest, ErrorsNameThePath) {
  const std::string path = testing::TempDir() + "/no_such_file";
  const absl::Status missing = MappedFile::Open(path).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(path));

  const absl::Status folder = MappedFile::Open(testing::TempDir()).status();
  EXPECT_EQ(folder.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(folder.message()), HasSubstr(testing::TempDir()));

  const absl::Status device = MappedFile::Open("/dev/null").status();
  EXPECT_EQ(device.code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
