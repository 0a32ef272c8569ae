#ifndef SEER_TESTS_TESTING_TEMPORARY_FOLDER_H_
#define SEER_TESTS_TESTING_TEMPORARY_FOLDER_H_

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "gtest/gtest.h"

namespace seer {

// An empty folder of a test's own, which goes with this object.
class TemporaryFolder {
 public:
  TemporaryFolder() : TemporaryFolder(testing::TempDir()) {}
  explicit TemporaryFolder(const std::string& parent)
      : path_(parent + "/seer.XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_TEMPORARY_FOLDER_H_
