// The real server on a disk that is full, or cannot be written: changes are
// refused with their reason, requests are served, a rollback works, and with
// room again all goes on.
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "client/admin/rollout_change.h"
#include "gtest/gtest.h"
#include "tests/e2e/administered_server.h"
#include "tests/e2e/endless_streams.h"
#include "tests/testing/small_disk.h"

namespace seer {
namespace {

constexpr int64_t kDiskSize = int64_t{32} << 20;
// Of an upload; the catalog commits every 8 MiB.
constexpr int64_t kFileSize = int64_t{14} << 20;
constexpr int64_t kChunkSize = 1'000'000;
constexpr int kStreams = 4;
enum { kBefore, kRefusing, kRolledBack };

void AsItIs(v1::WriteUploadRequest&) {}

void ExpectFull(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(NamedBy(status), "DISK_FULL") << status;
}

class DiskTest : public ::testing::Test {
 protected:
  // While this process has one thread.
  static void SetUpTestSuite() { mounts_ = new absl::Status(SeparateMounts()); }
  static void TearDownTestSuite() { delete mounts_; }

  // A server whose state is on a small disk.
  void StartOnSmallDisk() {
    std::filesystem::create_directory(server_.state_folder());
    Succeeds(MountSmallDisk(server_.state_folder(), kDiskSize));
    Start();
  }
  // Has two gate sets that were stable, one after the other, and streams.
  void Start() {
    server_.Start();
    for (const uint64_t seed : {1, 2}) {
      gate_sets_.push_back(server_.UploadGateSet(seed));
      server_.MakeStable(gate_sets_.back());
    }
    streams_ = std::make_unique<EndlessStreams>(server_.process(), kStreams);
    ExpectServedWith(kBefore, 1);
  }
  static void Succeeds(const absl::Status& status) {
    ASSERT_TRUE(status.ok()) << status;
  }

  // What streams of a new phase are served with, in which nothing changes.
  void ExpectServedWith(int phase, int gate_set) {
    streams_->SetPhase(phase);
    streams_->WaitFor(phase, kStreams);
    streams_->SetPhase(EndlessStreams::kChanging);
    const auto served = server_.client().GetGateSet(gate_sets_[gate_set]);
    ASSERT_TRUE(served.ok()) << served.status();
    EXPECT_EQ(streams_->versions(phase),
              std::set<std::string>{served->sha256()});
  }
  // And all that were before.
  void EndStreams() {
    streams_->ExpectNoFailures();
    streams_.reset();
  }

  absl::StatusOr<v1::Upload> CreateTextUpload() {
    return server_.CreateUpload(v1::UPLOAD_KIND_DATASET, v1::UPLOAD_FORMAT_TEXT,
                                kFileSize, DigestOf(file_));
  }
  absl::StatusOr<v1::Upload> WriteFrom(const std::string& upload,
                                       int64_t offset) {
    return server_.WriteChunks(upload, file_, offset, kChunkSize, AsItIs);
  }
  void Finish(const std::string& upload, int64_t committed) {
    const auto whole = WriteFrom(upload, committed);
    ASSERT_TRUE(whole.ok()) << whole.status();
    v1::FinalizeUploadRequest request;
    request.set_name(upload);
    const auto finished =
        server_.client().Call(&GateAdminClient::Stub::FinalizeUpload, request);
    ASSERT_TRUE(finished.ok()) << finished.status();
    EXPECT_EQ(finished->dataset().sha256(), DigestOf(file_));
  }
  void RollBackToTheFirst() {
    const auto rollout = RollBack(server_.client(), kTinyRollout, {});
    ASSERT_TRUE(rollout.ok()) << rollout.status();
    EXPECT_EQ(rollout->stable(), gate_sets_[0]);
    ExpectServedWith(kRolledBack, 0);
  }

  // From a roomy disk to a full one and back. `leave_free` is told of how many
  // bytes there is room for; `while_full` comes while there is none.
  template <typename LeaveFree, typename WhileFull>
  void FillAndFree(const LeaveFree& leave_free, const WhileFull& while_full);

  static absl::Status* mounts_;
  const std::string file_ = RandomText(1, kFileSize);
  AdministeredServer server_;
  std::vector<std::string> gate_sets_;
  std::unique_ptr<EndlessStreams> streams_;
};

absl::Status* DiskTest::mounts_ = nullptr;

template <typename LeaveFree, typename WhileFull>
void DiskTest::FillAndFree(const LeaveFree& leave_free,
                           const WhileFull& while_full) {
  const std::string text = server_.UploadText(RandomText(2, 12000));
  const v1::CalibrationJob job = AdministeredServer::SmallJob(text, 5);
  const std::string other = server_.UploadGateSet(3);

  const auto upload = CreateTextUpload();
  ASSERT_TRUE(upload.ok()) << upload.status();
  leave_free(kFileSize - kChunkSize / 4096 * 4096);
  ExpectFull(WriteFrom(upload->name(), 0).status());
  const int64_t committed = server_.GetUpload(upload->name())->committed_size();
  EXPECT_GT(committed, 0);
  EXPECT_LT(committed, kFileSize);

  leave_free(0);
  const std::string etag = server_.Rollout().etag();
  ExpectFull(WriteFrom(upload->name(), committed).status());
  ExpectFull(CreateTextUpload().status());
  ExpectFull(server_.CreateJob(job).status());
  ExpectFull(ActivateGateSet(server_.client(), other, {}, {}).status());
  EXPECT_EQ(server_.Rollout().etag(), etag);
  EXPECT_EQ(server_.GetUpload(upload->name())->committed_size(), committed);
  ExpectServedWith(kRefusing, 1);
  while_full();

  leave_free(kDiskSize);
  Finish(upload->name(), committed);
  const auto created = server_.CreateJob(job);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(server_.EndOf(created->name()).state(),
            v1::CALIBRATION_JOB_STATE_SUCCEEDED);
  const auto activated = ActivateGateSet(server_.client(), other, {}, {});
  EXPECT_TRUE(activated.ok()) << activated.status();
}

TEST_F(DiskTest, AFullDiskStopsNoRequestAndNoRollback) {
  if (!mounts_->ok()) GTEST_SKIP() << *mounts_;
  StartOnSmallDisk();
  const auto leave_free = [&](int64_t size) {
    Succeeds(LeaveFree(server_.state_folder(), size));
  };
  FillAndFree(leave_free, [&] {
    // This has the reserve of the state folder.
    RollBackToTheFirst();
    EndStreams();
    leave_free(0);
    server_.Kill();
    server_.Start();
    EXPECT_EQ(server_.ReportOfARequest().gate(), gate_sets_[0]);
  });
}

// For the reserve it makes no difference: what may not grow stays so.
TEST_F(DiskTest, FilesThatMayNotGrowStopNoRequest) {
  signal(SIGXFSZ, SIG_IGN);  // the server inherits it
  Start();
  FillAndFree(
      [&](int64_t size) {
        const rlimit limit = {
            size < kDiskSize ? static_cast<rlim_t>(size) : RLIM_INFINITY,
            RLIM_INFINITY};
        ASSERT_EQ(
            prlimit(server_.process().pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
      },
      [] {});
  EndStreams();
}

TEST_F(DiskTest, AReadOnlyDiskStopsNoRequestAndNoRollback) {
  if (!mounts_->ok()) GTEST_SKIP() << *mounts_;
  StartOnSmallDisk();
  const auto upload = CreateTextUpload();
  ASSERT_TRUE(upload.ok()) << upload.status();
  // The files; the database has its own open already.
  const std::string blobs = server_.state_folder() + "/blobs";
  Succeeds(MakeReadOnly(blobs));
  const absl::Status refused = WriteFrom(upload->name(), 0).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_EQ(NamedBy(refused), "READ_ONLY") << refused;
  ExpectServedWith(kRefusing, 1);
  RollBackToTheFirst();
  Succeeds(MakeWritable(blobs));
  Finish(upload->name(), 0);
  EndStreams();

  server_.Kill();
  Succeeds(MakeReadOnly(server_.state_folder()));
  ServerProcess other(
      server_.model_folder(),
      {"--state_dir=" + server_.state_folder(), "--admin_port=0"});
  EXPECT_EQ(other.WaitForExit(), 7);
  EXPECT_TRUE(absl::StrContains(other.Log(), "Read-only file system"))
      << other.Log();
  Succeeds(MakeWritable(server_.state_folder()));
  server_.Start();
  EXPECT_EQ(server_.ReportOfARequest().gate(), gate_sets_[0]);
}

}  // namespace
}  // namespace seer
