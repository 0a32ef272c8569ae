// Full and read-only disks: a call says so and changes nothing, and what is
// there goes on serving.

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fault_point.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/catalog_operations.h"
#include "tests/testing/server/temporary_catalog.h"

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
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
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

// Runs in a child, which alone sees what it mounts. Returns the line of the
// first expectation that did not hold, 0 for none.
int LiveOnASmallDisk(const std::string& folder) {
  if (mount("none", folder.c_str(), "tmpfs", 0, "size=4m") != 0) return -1;
  CatalogOptions options;
  options.folder = folder + "/state";
  auto catalog = Catalog::Open(options);
  if (!catalog.ok()) return __LINE__;
  const std::string gate = "a gate set's file";
  Catalog& c = **catalog;
  const std::string upload =
      c.CreateUpload(UploadOf(UploadKind::kGateSet, gate), TestTime())->id;
  c.AppendToUpload(upload, 0, gate, TestTime()).value();
  c.SealUpload(upload, TestTime()).value();
  RolloutChange change;
  change.stable = c.FinishGateSet(upload, FactsOfGateSet(), TestTime())->id;
  change.etag = c.GetRollout("m")->etag;
  c.UpdateRollout("m", change, TestTime()).value();

  std::vector<std::string> datasets;
  for (int i = 0; i < 8; ++i) {
    const std::string id =
        c.CreateUpload(UploadOf(UploadKind::kDataset, "x"), TestTime())->id;
    c.AppendToUpload(id, 0, "x", TestTime()).value();
    c.SealUpload(id, TestTime()).value();
    datasets.push_back(c.FinishDataset(id, {1, {}}, TestTime())->id);
    if (!c.DeleteUpload(id).ok()) return __LINE__;
  }
  CalibrationSpec spec;
  spec.dataset_id = datasets[0];
  const std::string job = c.CreateJob(spec, {}, TestTime())->id;

  // More than the disk holds.
  const std::string text(4 << 20, 'x');
  const std::string large =
      c.CreateUpload(UploadOf(UploadKind::kDataset, text), TestTime())->id;
  const absl::Status full =
      c.AppendToUpload(large, 0, text, TestTime()).status();
  if (full.code() != absl::StatusCode::kResourceExhausted) return __LINE__;
  if (ReasonTextOf(full) != "DISK_FULL") return __LINE__;

  // Something else takes the rest of it.
  std::ofstream(folder + "/ballast") << text << std::flush;
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    status = c.CreateUpload(UploadOf(UploadKind::kDataset, "x"), TestTime())
                 .status();
    if (ReasonTextOf(status) == "QUOTA_UPLOADS") return __LINE__;
  }
  if (ReasonTextOf(status) != "DISK_FULL") return __LINE__;
  if (!c.VerifyGateSet(*change.stable).ok()) return __LINE__;

  // What makes room has the reserve.
  if (!c.CancelJob(job, TestTime()).ok()) return __LINE__;
  for (const std::string& dataset : datasets) {
    if (!c.DeleteDataset(dataset).ok()) return __LINE__;
  }

  // A server that starts on a full disk serves.
  catalog->reset();
  catalog = Catalog::Open(options);
  if (!catalog.ok()) return __LINE__;
  if ((*catalog)->GetRollout("m")->stable != *change.stable) return __LINE__;
  if (!(*catalog)->VerifyGateSet(*change.stable).ok()) return __LINE__;

  // With room again it goes on.
  unlink((folder + "/ballast").c_str());
  if (!(*catalog)->DeleteUpload(large).ok()) return __LINE__;
  if (std::filesystem::file_size(options.folder + "/reserve") !=
      static_cast<uintmax_t>(options.disk_reserve_bytes)) {
    return __LINE__;
  }

  // A server that starts on a read-only disk says so.
  catalog->reset();
  if (mount("none", folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) !=
      0) {
    return __LINE__;
  }
  const absl::Status read_only = Catalog::Open(options).status();
  if (read_only.ok() || absl::IsInternal(read_only)) return __LINE__;
  return 0;
}

TEST(SmallDiskTest, FullThenFreeThenReadOnly) {
  const TemporaryFolder folder;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int user = geteuid() == 0 ? 0 : CLONE_NEWUSER;
    int line = -1;
    if (unshare(CLONE_NEWNS | user) == 0 &&
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) {
      line = LiveOnASmallDisk(folder.path());
    }
    _exit(write(ends[1], &line, sizeof(line)) == sizeof(line) ? 0 : 1);
  }
  close(ends[1]);
  int line = 0;
  ASSERT_EQ(read(ends[0], &line, sizeof(line)), ssize_t{sizeof(line)});
  close(ends[0]);
  waitpid(child, nullptr, 0);
  if (line == -1) GTEST_SKIP() << "nothing can be mounted here";
  EXPECT_EQ(line, 0) << "the expectation at this line did not hold";
}

}  // namespace
}  // namespace seer
