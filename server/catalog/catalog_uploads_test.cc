#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/fault_point.h"
#include "engine/errors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const absl::Time kNow = TestTime();

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

int FailSync(const char* point) {
  return std::strcmp(point, "blob.sync") == 0 ? ENOSPC : 0;
}

// Calls the catalog again from within a write.
Catalog* busy_catalog = nullptr;
std::string* busy_upload = nullptr;
absl::Status* called_again = nullptr;

int CallAgain(const char* point) {
  if (std::strcmp(point, "blob.write") == 0) {
    *called_again = busy_catalog->CommitUpload(*busy_upload, kNow).status();
  }
  return 0;
}

std::vector<std::string>* busy_uploads = nullptr;

// Writes to every upload that no call works at, while one is being removed.
int WriteToAll(const char* point) {
  if (std::strcmp(point, "blob.remove") != 0) return 0;
  const absl::Time later = kNow + absl::Hours(1);
  for (const std::string& id : *busy_uploads) {
    if (busy_catalog->AppendToUpload(id, 0, "x", later).ok()) {
      busy_catalog->CommitUpload(id, later).value();
    }
  }
  return 0;
}

class UploadsTest : public testing::Test {
 protected:
  ~UploadsTest() override { SetFaultHook(nullptr); }

  std::string Create(absl::string_view content) {
    return catalog_->CreateUpload(UploadOf(UploadKind::kDataset, content), kNow)
        .value()
        .id;
  }
  absl::StatusOr<int64_t> Append(const std::string& id, int64_t offset,
                                 absl::string_view bytes) {
    return catalog_->AppendToUpload(id, offset, bytes, kNow);
  }
  int64_t CommittedSize(const std::string& id) {
    return catalog_->GetUpload(id).value().committed_size;
  }

  TemporaryCatalog catalog_;
};

TEST_F(UploadsTest, BecomesADataset) {
  const std::string id = Create("hello world");
  EXPECT_EQ(Append(id, 0, "hello ").value(), 6);
  EXPECT_EQ(CommittedSize(id), 0);
  EXPECT_EQ(Append(id, 6, "world").value(), 11);
  EXPECT_EQ(catalog_->CommitUpload(id, kNow).value().committed_size, 11);
  EXPECT_EQ(ReasonTextOf(catalog_->FinishDataset(id, {1, {}}, kNow).status()),
            "UPLOAD_INCOMPLETE");

  const SealedUpload sealed = catalog_->SealUpload(id, kNow).value();
  EXPECT_EQ(ReadFile(sealed.path), "hello world");
  const Dataset dataset = catalog_->FinishDataset(id, {2, 77}, kNow).value();
  EXPECT_EQ(dataset.size, 11);
  EXPECT_EQ(dataset.sha256, DigestOf("hello world"));
  EXPECT_EQ(dataset.facts.num_documents, 2);
  EXPECT_EQ(dataset.facts.num_tokens, 77);
  EXPECT_EQ(dataset.create_time, kNow);
  EXPECT_FALSE(dataset.damage.has_value());
  EXPECT_EQ(ReadFile(dataset.path), "hello world");

  // Whoever calls again, having missed the answer, gets the same.
  EXPECT_EQ(catalog_->SealUpload(id, kNow).value().upload.state,
            UploadState::kFinalized);
  EXPECT_EQ(catalog_->FinishDataset(id, {2, 77}, kNow).value().id, dataset.id);
  EXPECT_EQ(ReasonTextOf(Append(id, 11, "x").status()), "UPLOAD_ENDED");
  catalog_.Reopen();
  EXPECT_EQ(ReadFile(catalog_->GetDataset(dataset.id).value().path),
            "hello world");
  EXPECT_THAT(catalog_->recovery().damaged, IsEmpty());
}

TEST_F(UploadsTest, GoesOnAfterARestart) {
  const std::string id = Create("hello world");
  ASSERT_TRUE(Append(id, 0, "hello ").ok());
  ASSERT_TRUE(catalog_->CommitUpload(id, kNow).ok());
  ASSERT_TRUE(Append(id, 6, "wor").ok());
  catalog_.Reopen();
  EXPECT_EQ(CommittedSize(id), 6);
  EXPECT_EQ(ReasonTextOf(Append(id, 9, "ld").status()), "UPLOAD_OFFSET");
  EXPECT_EQ(Append(id, 6, "world").value(), 11);
  EXPECT_TRUE(catalog_->SealUpload(id, kNow).ok());
}

TEST_F(UploadsTest, ChunksHaveNoGapsAndNoOverflow) {
  const std::string id = Create("hello world");
  absl::Status status = Append(id, 1, "x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(status)->limit, 0);
  EXPECT_EQ(ReasonOf(status)->got, 1);
  status = Append(id, 0, "hello world!").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonTextOf(status), "UPLOAD_SIZE");
  EXPECT_FALSE(Append(id, -1, "x").ok());
  EXPECT_EQ(catalog_->AppendToUpload("other", 0, "x", kNow).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Append(id, 0, "hello world").value(), 11);
}

TEST_F(UploadsTest, OneCallAtATimeWorksAtAnUpload) {
  std::string id = Create("hello");
  absl::Status again;
  busy_catalog = &*catalog_;
  busy_upload = &id;
  called_again = &again;
  SetFaultHook(&CallAgain);
  EXPECT_TRUE(Append(id, 0, "hello").ok());
  SetFaultHook(nullptr);
  EXPECT_EQ(again.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonTextOf(again), "UPLOAD_BUSY");
  EXPECT_TRUE(catalog_->SealUpload(id, kNow).ok());
}

TEST_F(UploadsTest, WritesFromTheCommittedSizeAgain) {
  const std::string id = Create("hello world");
  ASSERT_TRUE(Append(id, 0, "hello ").ok());
  ASSERT_TRUE(catalog_->CommitUpload(id, kNow).ok());
  ASSERT_TRUE(Append(id, 6, "wrong").ok());
  ASSERT_TRUE(Append(id, 6, "world").ok());
  EXPECT_TRUE(catalog_->SealUpload(id, kNow).ok());
}

TEST_F(UploadsTest, WhatWasNotSyncedIsNotCommitted) {
  const std::string id = Create("hello world");
  ASSERT_TRUE(Append(id, 0, "hello ").ok());
  SetFaultHook(&FailSync);
  EXPECT_EQ(ReasonTextOf(catalog_->CommitUpload(id, kNow).status()),
            "DISK_FULL");
  SetFaultHook(nullptr);
  // A later sync proves nothing about those bytes.
  EXPECT_EQ(catalog_->CommitUpload(id, kNow).value().committed_size, 0);
  EXPECT_EQ(ReasonTextOf(Append(id, 6, "world").status()), "UPLOAD_OFFSET");
  EXPECT_TRUE(Append(id, 0, "hello world").ok());
  EXPECT_TRUE(catalog_->SealUpload(id, kNow).ok());
}

TEST_F(UploadsTest, OtherContentFailsTheUpload) {
  const std::string id = Create("hello world");
  ASSERT_TRUE(Append(id, 0, "hello").ok());
  absl::Status status = catalog_->SealUpload(id, kNow).status();
  EXPECT_EQ(ReasonTextOf(status), "UPLOAD_INCOMPLETE");
  EXPECT_EQ(ReasonOf(status)->got, 5);
  ASSERT_TRUE(Append(id, 5, " wurld").ok());
  EXPECT_EQ(ReasonTextOf(catalog_->SealUpload(id, kNow).status()),
            "SHA256_MISMATCH");
  const Upload upload = catalog_->GetUpload(id).value();
  EXPECT_EQ(upload.state, UploadState::kFailed);
  EXPECT_EQ(upload.failure->reason, "SHA256_MISMATCH");
  EXPECT_TRUE(std::filesystem::is_empty(catalog_.blobs()));
  EXPECT_EQ(ReasonTextOf(catalog_->SealUpload(id, kNow).status()),
            "UPLOAD_ENDED");
}

TEST_F(UploadsTest, UnreadableContentFailsTheUpload) {
  const std::string id = catalog_.AddUpload(UploadKind::kDataset, "\xff");
  ASSERT_TRUE(catalog_->SealUpload(id, kNow).ok());
  ASSERT_TRUE(
      catalog_->FailUpload(id, {"NOT_UTF8", "byte 0 is no UTF-8"}, kNow).ok());
  EXPECT_EQ(catalog_->GetUpload(id).value().failure->reason, "NOT_UTF8");
  EXPECT_TRUE(std::filesystem::is_empty(catalog_.blobs()));
}

TEST_F(UploadsTest, ARequestIdMakesOneUpload) {
  NewUpload spec = UploadOf(UploadKind::kDataset, "hello");
  spec.request_id = "r";
  const std::string id = catalog_->CreateUpload(spec, kNow).value().id;
  EXPECT_EQ(catalog_->CreateUpload(spec, kNow).value().id, id);
  catalog_.Reopen();
  EXPECT_EQ(catalog_->CreateUpload(spec, kNow).value().id, id);
  spec.size = 6;
  const absl::Status other = catalog_->CreateUpload(spec, kNow).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(other), "request_id");
  // Without one, each call makes its own.
  EXPECT_NE(Create("x"), Create("x"));
}

TEST_F(UploadsTest, DeletedAndExpiredUploadsFreeTheirBytes) {
  const std::string deleted = catalog_.AddUpload(UploadKind::kDataset, "a");
  const std::string expired = catalog_.AddUpload(UploadKind::kDataset, "b");
  ASSERT_TRUE(catalog_->DeleteUpload(deleted).ok());
  EXPECT_EQ(catalog_->DeleteUpload(deleted).code(),
            absl::StatusCode::kNotFound);
  const absl::Duration lifetime = catalog_.options().upload_lifetime;
  EXPECT_EQ(catalog_->ExpireUploads(kNow + lifetime - absl::Seconds(1)).value(),
            0);
  EXPECT_EQ(catalog_->ExpireUploads(kNow + lifetime).value(), 1);
  EXPECT_EQ(catalog_->GetUpload(expired).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(std::filesystem::is_empty(catalog_.blobs()));
}

TEST_F(UploadsTest, SealingMovesTheExpiry) {
  const std::string id = catalog_.AddUpload(UploadKind::kDataset, "text");
  const absl::Duration lifetime = catalog_.options().upload_lifetime;
  const absl::Time late = kNow + lifetime - absl::Seconds(1);
  const SealedUpload sealed = catalog_->SealUpload(id, late).value();
  EXPECT_EQ(sealed.upload.expire_time, late + lifetime);
  EXPECT_EQ(catalog_->ExpireUploads(kNow + lifetime).value(), 0);
  EXPECT_TRUE(catalog_->FinishDataset(id, {1, {}}, late).ok());
}

TEST_F(UploadsTest, OneThatIsWrittenToWhileOthersExpireStays) {
  std::vector<std::string> ids = {Create("hello"), Create("world")};
  busy_catalog = &*catalog_;
  busy_uploads = &ids;
  SetFaultHook(&WriteToAll);
  EXPECT_EQ(catalog_->ExpireUploads(kNow + catalog_.options().upload_lifetime)
                .value(),
            1);
  SetFaultHook(nullptr);
  const Page<Upload> left = catalog_->ListUploads({10, ""}).value();
  ASSERT_THAT(left.items, SizeIs(1));
  EXPECT_EQ(left.items[0].committed_size, 1);
}

TEST_F(UploadsTest, Pages) {
  for (const char* content : {"a", "b", "c"}) Create(content);
  const Page<Upload> first = catalog_->ListUploads({2, ""}).value();
  ASSERT_THAT(first.items, SizeIs(2));
  EXPECT_EQ(first.items[0].spec.sha256, DigestOf("c"));
  ASSERT_THAT(first.next_token, Not(IsEmpty()));
  const Page<Upload> last =
      catalog_->ListUploads({2, first.next_token}).value();
  ASSERT_THAT(last.items, SizeIs(1));
  EXPECT_EQ(last.items[0].spec.sha256, DigestOf("a"));
  EXPECT_THAT(last.next_token, IsEmpty());
  EXPECT_EQ(FieldOf(catalog_->ListUploads({0, ""}).status()), "page_size");
  EXPECT_EQ(FieldOf(catalog_->ListUploads({1, "x"}).status()), "page_token");
}

TEST_F(UploadsTest, ReportsLostBytes) {
  const std::string cut = catalog_.AddUpload(UploadKind::kDataset, "hello");
  std::string file;
  for (const auto& entry :
       std::filesystem::directory_iterator(catalog_.blobs())) {
    file = entry.path();
  }
  catalog_.Close();
  std::filesystem::resize_file(file, 4);
  catalog_.Reopen();
  EXPECT_EQ(catalog_->recovery().damaged.count("uploads/" + cut), 1u);
  EXPECT_EQ(catalog_->GetUpload(cut).value().state, UploadState::kFailed);
  EXPECT_EQ(ReasonTextOf(Append(cut, 5, "").status()), "UPLOAD_ENDED");
  EXPECT_TRUE(catalog_->DeleteUpload(cut).ok());
}

TEST(UploadQuotasTest, NameThemselves) {
  CatalogOptions options;
  options.max_total_bytes = 100;
  options.max_upload_bytes = 60;
  options.max_open_uploads = 3;
  options.max_datasets = 2;
  options.max_gate_sets = 1;
  TemporaryCatalog catalog(options);
  const auto create = [&](UploadKind kind, size_t size) {
    return catalog->CreateUpload(UploadOf(kind, std::string(size, 'x')), kNow)
        .status();
  };
  absl::Status status = create(UploadKind::kDataset, 61);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonTextOf(status), "QUOTA_BYTES");
  EXPECT_EQ(ReasonOf(status)->limit, 60);
  catalog.AddDataset(std::string(50, 'a'));
  status = create(UploadKind::kGateSet, 51);
  EXPECT_EQ(ReasonTextOf(status), "QUOTA_BYTES");
  EXPECT_EQ(ReasonOf(status)->got, 101);
  ASSERT_TRUE(create(UploadKind::kDataset, 1).ok());
  EXPECT_EQ(ReasonTextOf(create(UploadKind::kDataset, 1)), "QUOTA_DATASETS");
  ASSERT_TRUE(create(UploadKind::kGateSet, 1).ok());
  EXPECT_EQ(ReasonTextOf(create(UploadKind::kGateSet, 1)), "QUOTA_GATE_SETS");
}

TEST(UploadQuotasTest, AJobHoldsThePlaceOfItsGateSet) {
  CatalogOptions options;
  options.max_gate_sets = 1;
  TemporaryCatalog catalog(options);
  CalibrationSpec spec;
  spec.dataset_id = catalog.AddDataset("text");
  const NewUpload gate_set = UploadOf(UploadKind::kGateSet, "gate");
  const std::string job = catalog->CreateJob(spec, {}, kNow).value().id;
  EXPECT_EQ(ReasonTextOf(catalog->CreateUpload(gate_set, kNow).status()),
            "QUOTA_GATE_SETS");
  ASSERT_TRUE(catalog->CancelJob(job, kNow).ok());
  ASSERT_TRUE(catalog->CreateUpload(gate_set, kNow).ok());
  EXPECT_EQ(ReasonTextOf(catalog->CreateJob(spec, {}, kNow).status()),
            "QUOTA_GATE_SETS");
}

TEST(UploadQuotasTest, OpenUploads) {
  CatalogOptions options;
  options.max_open_uploads = 1;
  TemporaryCatalog catalog(options);
  const std::string id = catalog.AddUpload(UploadKind::kDataset, "x");
  const NewUpload next = UploadOf(UploadKind::kDataset, "y");
  EXPECT_EQ(ReasonTextOf(catalog->CreateUpload(next, kNow).status()),
            "QUOTA_UPLOADS");
  ASSERT_TRUE(catalog->DeleteUpload(id).ok());
  EXPECT_TRUE(catalog->CreateUpload(next, kNow).ok());
}

TEST(UploadMemoryTest, ForgetsTheOldestThatEnded) {
  CatalogOptions options;
  options.max_ended_uploads = 1;
  TemporaryCatalog catalog(options);
  const std::string open = catalog.AddUpload(UploadKind::kDataset, "open");
  std::vector<std::string> ended;
  for (const char* content : {"a", "b"}) {
    ended.push_back(catalog.AddUpload(UploadKind::kDataset, content));
  }
  for (const int i : {1, 0}) {  // the second ends first
    const absl::Time now = kNow + absl::Seconds(1 - i);
    ASSERT_TRUE(catalog->FailUpload(ended[i], {"X", ""}, now).ok());
  }
  catalog.AddUpload(UploadKind::kDataset, "next");
  EXPECT_TRUE(absl::IsNotFound(catalog->GetUpload(ended[1]).status()));
  EXPECT_TRUE(catalog->GetUpload(ended[0]).ok());
  EXPECT_TRUE(catalog->GetUpload(open).ok());
}

TEST(UploadSyncTest, CommitsByItself) {
  CatalogOptions options;
  options.sync_bytes = 4;
  TemporaryCatalog catalog(options);
  const std::string id =
      catalog->CreateUpload(UploadOf(UploadKind::kDataset, "hello world"), kNow)
          .value()
          .id;
  ASSERT_TRUE(catalog->AppendToUpload(id, 0, "hel", kNow).ok());
  EXPECT_EQ(catalog->GetUpload(id).value().committed_size, 0);
  const absl::Time later = kNow + absl::Hours(1);
  ASSERT_TRUE(catalog->AppendToUpload(id, 3, "lo", later).ok());
  const Upload upload = catalog->GetUpload(id).value();
  EXPECT_EQ(upload.committed_size, 5);
  EXPECT_EQ(upload.expire_time, later + options.upload_lifetime);
}

}  // namespace
}  // namespace seer
