#include "server/catalog/storage/blob_store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fault_point.h"
#include "base/hash/sha256.h"
#include "engine/errors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_folder.h"

namespace seer {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

std::string Digest(absl::string_view bytes) {
  return Sha256Hex(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

std::string Reason(const absl::Status& status) {
  const auto reason = ReasonOf(status);
  return reason ? reason->reason : "";
}

template <int error>
int FailWrite(const char* point) {
  return std::strcmp(point, "blob.write") == 0 ? error : 0;
}
int FailRename(const char* point) {
  return std::strcmp(point, "blob.rename") == 0 ? EROFS : 0;
}

class BlobStoreTest : public testing::Test {
 protected:
  ~BlobStoreTest() override { SetFaultHook(nullptr); }

  // "ID:size" of every blob, with a * behind those that are whole.
  std::vector<std::string> Listed() const {
    std::vector<std::string> names;
    const std::vector<BlobStore::Entry> entries = store_.List().value();
    for (const BlobStore::Entry& entry : entries) {
      names.push_back(
          absl::StrCat(entry.id, ":", entry.size, entry.whole ? "*" : ""));
    }
    return names;
  }
  std::string Read(absl::string_view id) const {
    std::ifstream file(store_.PathOf(id), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  const TemporaryFolder folder_;
  const std::string blobs_ = folder_.path() + "/blobs";
  BlobStore store_ = BlobStore::Open(blobs_).value();
};

TEST_F(BlobStoreTest, ErrorsNameNoPath) {
  SetFaultHook(&FailWrite<EIO>);
  const absl::Status status = store_.Append("a", 0, "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder_.path())));
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::strerror(EIO)));
}

TEST_F(BlobStoreTest, GrowsAndIsSealed) {
  ASSERT_TRUE(store_.Append("a", 0, "hello ").ok());
  ASSERT_TRUE(store_.Append("a", 6, "world").ok());
  ASSERT_TRUE(store_.Sync("a").ok());
  EXPECT_THAT(Listed(), UnorderedElementsAre("a:11"));
  EXPECT_EQ(store_.DigestOf("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_.WholeSize("a").status().code(), absl::StatusCode::kNotFound);

  const std::string digest = Digest("hello world");
  ASSERT_TRUE(store_.Seal("a", 11, digest).ok());
  EXPECT_THAT(Listed(), UnorderedElementsAre("a:11*"));
  EXPECT_EQ(Read("a"), "hello world");
  EXPECT_EQ(store_.DigestOf("a").value(), digest);
  EXPECT_EQ(store_.WholeSize("a").value(), 11);
  // As after a crash between the rename and whatever comes next.
  EXPECT_TRUE(store_.Seal("a", 11, digest).ok());
  EXPECT_EQ(Reason(store_.Seal("a", 11, Digest("other"))), "SHA256_MISMATCH");

  ASSERT_TRUE(store_.Remove("a").ok());
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_TRUE(store_.Remove("a").ok());
}

TEST_F(BlobStoreTest, AppendingEarlierCutsTheTailOff) {
  ASSERT_TRUE(store_.Append("a", 0, "committed, torn").ok());
  ASSERT_TRUE(store_.Append("a", 9, "!").ok());
  ASSERT_TRUE(store_.Seal("a", 10, Digest("committed!")).ok());
}

TEST_F(BlobStoreTest, NoGaps) {
  EXPECT_EQ(store_.Append("a", 1, "x").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(store_.Append("a", 0, "x").ok());
  EXPECT_EQ(store_.Append("a", 2, "x").code(), absl::StatusCode::kInternal);
}

TEST_F(BlobStoreTest, OtherContentIsNotSealed) {
  ASSERT_TRUE(store_.Append("a", 0, "hello").ok());
  EXPECT_EQ(Reason(store_.Seal("a", 5, Digest("hallo"))), "SHA256_MISMATCH");
  EXPECT_EQ(Reason(store_.Seal("a", 4, Digest("hello"))), "SHA256_MISMATCH");
  EXPECT_THAT(Listed(), UnorderedElementsAre("a:5"));
}

TEST_F(BlobStoreTest, SealingCanBeCancelled) {
  const std::string content(size_t{3} << 20, 'x');
  ASSERT_TRUE(store_.Append("a", 0, content).ok());
  int num_asked = 0;
  const auto cancelled = [&num_asked] { return ++num_asked == 2; };
  EXPECT_TRUE(
      absl::IsCancelled(store_.Seal("a", 3 << 20, Digest(content), cancelled)));
  EXPECT_EQ(num_asked, 2);  // and not read on
  EXPECT_THAT(Listed(), UnorderedElementsAre("a:3145728"));
  EXPECT_TRUE(store_.Seal("a", 3 << 20, Digest(content), cancelled).ok());
}

TEST_F(BlobStoreTest, PutsAllOrNothing) {
  EXPECT_EQ(store_.Put("a", {"one ", "", "two"}).value(), Digest("one two"));
  EXPECT_EQ(Read("a"), "one two");
  for (FaultHook hook : {&FailWrite<ENOSPC>, &FailRename}) {
    SetFaultHook(hook);
    EXPECT_FALSE(store_.Put("b", {"one ", "two"}).ok());
    SetFaultHook(nullptr);
    EXPECT_THAT(Listed(), UnorderedElementsAre("a:7*"));
  }
}

TEST_F(BlobStoreTest, FullAndReadOnlyDisksHaveTheirReasons) {
  SetFaultHook(&FailWrite<ENOSPC>);
  absl::Status status = store_.Append("a", 0, "hello");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reason(status), "DISK_FULL");
  EXPECT_EQ(std::string(status.message()).find(blobs_), std::string::npos);
  SetFaultHook(&FailWrite<EROFS>);
  status = store_.Append("a", 0, "hello");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(status), "READ_ONLY");
  SetFaultHook(&FailWrite<EIO>);
  EXPECT_EQ(store_.Append("a", 0, "hello").code(), absl::StatusCode::kInternal);
  SetFaultHook(nullptr);
  EXPECT_TRUE(store_.Append("a", 0, "hello").ok());
}

TEST_F(BlobStoreTest, ListsOnlyItsOwnFiles) {
  ASSERT_TRUE(store_.Put("a-1", {"x"}).ok());
  std::ofstream(blobs_ + "/README.txt") << "foreign";
  std::ofstream(blobs_ + "/.partial") << "no id";
  std::filesystem::create_directory(blobs_ + "/folder");
  std::filesystem::create_symlink("/etc/passwd", blobs_ + "/link");
  EXPECT_THAT(Listed(), UnorderedElementsAre("a-1:1*"));
}

TEST(IsServerMadeIdTest, Alphabet) {
  EXPECT_TRUE(IsServerMadeId("sha256-0af"));
  EXPECT_TRUE(IsServerMadeId(std::string(63, 'a')));
  for (const std::string& id :
       {std::string(), std::string(64, 'a'), std::string("A"), std::string("."),
        std::string("a/b"), std::string("a\0", 2)}) {
    EXPECT_FALSE(IsServerMadeId(id)) << id;
  }
}

}  // namespace
}  // namespace seer
