// Full and read-only disks: a call says so and changes nothing, and what is
// there goes on serving.

#include <signal.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fault_point.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/catalog_operations.h"
#include "tests/testing/server/temporary_catalog.h"
#include "tests/testing/small_disk.h"
#include "tests/testing/temporary_folder.h"

namespace seer {
namespace {

// From which pass of any point on the disk fails, and how.
int passes_left = 0;
int disk_error = 0;

int FailFromThere(const char* point) {
  // Files can be removed from a full disk.
  if (disk_error == ENOSPC && std::strcmp(point, "blob.remove") == 0) return 0;
  return --passes_left < 0 ? disk_error : 0;
}

// A disk on which nothing fits but in place of this file.
std::string reserve;

int FailWhileReserved(const char* point) {
  const bool is_write = std::strcmp(point, "database.run") == 0;
  return is_write && std::filesystem::exists(reserve) ? ENOSPC : 0;
}

class CatalogDiskTest : public testing::Test {
 protected:
  CatalogDiskTest() { SetLogLevel(LogLevel::kError); }
  ~CatalogDiskTest() override { SetFaultHook(nullptr); }

  TemporaryCatalog catalog_;
};

TEST_F(CatalogDiskTest, AFailedCallChangesNothingAndSucceedsLater) {
  SetLogSink([](absl::string_view) {});
  std::mt19937_64 random(7);
  int num_full = 0;
  int num_read_only = 0;
  for (int i = 0; i < 600; ++i) {
    SCOPED_TRACE(absl::StrCat("operation ", i));
    const CatalogState before = StateOf(*catalog_);
    const CatalogOperation operation = DrawOperation(*catalog_, random);
    SCOPED_TRACE(operation.effect[0]);
    disk_error = random() % 2 == 0 ? ENOSPC : EROFS;
    passes_left = static_cast<int>(random() % 6);
    SetFaultHook(&FailFromThere);
    const absl::Status status = operation.run();
    SetFaultHook(nullptr);
    const CatalogState after = StateOf(*catalog_);
    ASSERT_EQ(Unexplained(before, after, operation.effect), "");
    if (status.ok()) continue;
    ASSERT_EQ(ReasonTextOf(status),
              disk_error == ENOSPC ? "DISK_FULL" : "READ_ONLY");
    ++(disk_error == ENOSPC ? num_full : num_read_only);
    // Of several chunks some may have been committed.
    if (after != before) continue;
    ASSERT_TRUE(operation.run().ok());
    ASSERT_NE(StateOf(*catalog_), before);
  }
  SetLogSink(nullptr);
  EXPECT_GT(num_full, 50);
  EXPECT_GT(num_read_only, 50);
  catalog_.Reopen();
  EXPECT_TRUE(catalog_->recovery().damaged.empty());
  EXPECT_EQ(BrokenFiles(*catalog_, catalog_.blobs()), "");
}

TEST_F(CatalogDiskTest, AFileThatMayNotGrow) {
  const std::string gate_set = catalog_.AddGateSet("gate");
  const std::string content(1 << 20, 'x');
  const std::string id =
      catalog_
          ->CreateUpload(UploadOf(UploadKind::kDataset, content), TestTime())
          .value()
          .id;
  rlimit unlimited;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  signal(SIGXFSZ, SIG_IGN);
  rlimit limited = unlimited;
  limited.rlim_cur = 300'000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  const absl::Status status =
      catalog_->AppendToUpload(id, 0, content, TestTime()).status();
  const absl::Status verified = catalog_->VerifyGateSet(gate_set);
  // Nor may the database's WAL.
  limited.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  const absl::Status no_row =
      catalog_->CreateUpload(UploadOf(UploadKind::kDataset, "x"), TestTime())
          .status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
  EXPECT_EQ(ReasonTextOf(no_row), "DISK_FULL") << no_row;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonTextOf(status), "DISK_FULL");
  EXPECT_TRUE(verified.ok()) << verified;
  EXPECT_TRUE(catalog_->AppendToUpload(id, 0, content, TestTime()).ok());
  EXPECT_TRUE(catalog_->SealUpload(id, TestTime()).ok());
}

TEST_F(CatalogDiskTest, DeletingHasTheReserve) {
  const std::string gate_set = catalog_.AddGateSet("gate");
  const std::string dataset = catalog_.AddDataset("text");
  const std::string upload = catalog_.AddUpload(UploadKind::kDataset, "x");
  const std::string failed = catalog_.AddUpload(UploadKind::kDataset, "y");
  CalibrationSpec spec;
  spec.dataset_id = dataset;
  const std::string job = catalog_->CreateJob(spec, {}, TestTime())->id;
  catalog_->StartJob(job, TestTime()).value();
  ASSERT_TRUE(catalog_->SaveCheckpoint(job, {}, {"state"}).ok());
  reserve = catalog_.options().folder + "/reserve";
  EXPECT_EQ(std::filesystem::file_size(reserve), 1u << 20);
  SetLogSink([](absl::string_view) {});
  SetFaultHook(&FailWhileReserved);
  EXPECT_EQ(ReasonTextOf(catalog_->PauseJob(job).status()), "DISK_FULL");
  EXPECT_TRUE(std::filesystem::exists(reserve));
  // Each has the reserve anew, which the file that goes makes room for.
  EXPECT_TRUE(catalog_->CancelJob(job, TestTime()).ok());
  EXPECT_TRUE(catalog_->DeleteDataset(dataset).ok());
  EXPECT_TRUE(catalog_->DeleteGateSet(gate_set).ok());
  EXPECT_TRUE(catalog_->DeleteUpload(upload).ok());
  EXPECT_TRUE(catalog_->FailUpload(failed, {"TEST", ""}, TestTime()).ok());
  EXPECT_TRUE(std::filesystem::exists(reserve));
  SetFaultHook(nullptr);
  SetLogSink(nullptr);
}

TEST_F(CatalogDiskTest, ARollbackHasTheReserve) {
  RolloutChange change;
  for (const char* gate : {"gate a", "gate b"}) {
    change.stable = catalog_.AddGateSet(gate);
    change.etag = catalog_->GetRollout("m").value().etag;
    ASSERT_TRUE(catalog_->UpdateRollout("m", change, TestTime()).ok());
  }
  const Rollout before = catalog_->GetRollout("m").value();
  change.stable = before.previous;
  change.etag = before.etag;
  reserve = catalog_.options().folder + "/reserve";
  SetLogSink([](absl::string_view) {});
  SetFaultHook(&FailWhileReserved);
  EXPECT_EQ(
      ReasonTextOf(catalog_->UpdateRollout("m", change, TestTime()).status()),
      "DISK_FULL");
  EXPECT_TRUE(std::filesystem::exists(reserve));
  const absl::StatusOr<Rollout> back =
      catalog_->RollBack("m", before.etag, false, TestTime());
  SetFaultHook(nullptr);
  SetLogSink(nullptr);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->stable, before.previous);
  EXPECT_EQ(back->previous, before.stable);
  EXPECT_EQ(catalog_->GetRollout("m").value().etag, back->etag);
}

class SmallDiskTest : public testing::Test {
 protected:
  // While this process has one thread.
  static void SetUpTestSuite() { mounts_ = new absl::Status(SeparateMounts()); }
  static void TearDownTestSuite() { delete mounts_; }
  void SetUp() override {
    if (!mounts_->ok()) GTEST_SKIP() << *mounts_;
    ASSERT_TRUE(MountSmallDisk(folder_.path(), 4 << 20).ok());
    options_.folder = folder_.path() + "/state";
    Open();
  }
  void Open() {
    catalog_.reset();
    auto catalog = Catalog::Open(options_);
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    catalog_ = *std::move(catalog);
  }
  // Sealed.
  std::string AddUpload(UploadKind kind, const std::string& content) {
    const std::string id =
        catalog_->CreateUpload(UploadOf(kind, content), TestTime())->id;
    catalog_->AppendToUpload(id, 0, content, TestTime()).value();
    catalog_->SealUpload(id, TestTime()).value();
    return id;
  }

  static absl::Status* mounts_;
  const TemporaryFolder folder_;
  CatalogOptions options_;
  std::unique_ptr<Catalog> catalog_;
};

absl::Status* SmallDiskTest::mounts_ = nullptr;

TEST_F(SmallDiskTest, FullThenFree) {
  RolloutChange change;
  change.stable = catalog_
                      ->FinishGateSet(AddUpload(UploadKind::kGateSet, "gate"),
                                      FactsOfGateSet(), TestTime())
                      ->id;
  change.etag = catalog_->GetRollout("m")->etag;
  catalog_->UpdateRollout("m", change, TestTime()).value();
  std::vector<std::string> datasets;
  for (int i = 0; i < 8; ++i) {
    const std::string id = AddUpload(UploadKind::kDataset, "x");
    datasets.push_back(catalog_->FinishDataset(id, {1, {}}, TestTime())->id);
    ASSERT_TRUE(catalog_->DeleteUpload(id).ok());
  }
  CalibrationSpec spec;
  spec.dataset_id = datasets[0];
  const std::string job = catalog_->CreateJob(spec, {}, TestTime())->id;

  // More than the disk holds.
  const std::string text(4 << 20, 'x');
  const std::string large =
      catalog_->CreateUpload(UploadOf(UploadKind::kDataset, text), TestTime())
          ->id;
  const absl::Status full =
      catalog_->AppendToUpload(large, 0, text, TestTime()).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonTextOf(full), "DISK_FULL");

  // Something else takes the rest of it.
  ASSERT_TRUE(LeaveFree(folder_.path(), 0).ok());
  EXPECT_EQ(ReasonTextOf(catalog_
                             ->CreateUpload(UploadOf(UploadKind::kDataset, "x"),
                                            TestTime())
                             .status()),
            "DISK_FULL");
  EXPECT_TRUE(catalog_->VerifyGateSet(*change.stable).ok());

  // What makes room has the reserve.
  EXPECT_TRUE(catalog_->CancelJob(job, TestTime()).ok());
  for (const std::string& dataset : datasets) {
    EXPECT_TRUE(catalog_->DeleteDataset(dataset).ok());
  }

  // A server that starts on a full disk serves.
  Open();
  EXPECT_EQ(catalog_->GetRollout("m")->stable, *change.stable);
  EXPECT_TRUE(catalog_->VerifyGateSet(*change.stable).ok());

  // With room again it goes on.
  ASSERT_TRUE(LeaveFree(folder_.path(), 2 << 20).ok());
  EXPECT_TRUE(catalog_->DeleteUpload(large).ok());
  EXPECT_EQ(std::filesystem::file_size(options_.folder + "/reserve"),
            static_cast<uintmax_t>(options_.disk_reserve_bytes));
}

TEST_F(SmallDiskTest, AStartOnAReadOnlyOneSaysSo) {
  catalog_.reset();
  ASSERT_TRUE(MakeReadOnly(folder_.path()).ok());
  EXPECT_EQ(Catalog::Open(options_).status().code(),
            absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace seer
