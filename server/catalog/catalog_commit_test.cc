// A commit whose sync fails, and a crash after it: SQLite then finds the commit
// in the WAL or not, and either must have its files.

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "base/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/temporary_catalog.h"

namespace {

// Of the WAL's file. One that dies fails to sync, and from then on to write.
enum class Disk { kWell, kDoesNotSync, kDies, kDead };
Disk disk = Disk::kWell;
int num_failed_syncs = 0;

bool IsWal(int fd) {
  char path[PATH_MAX] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  return readlink(link.c_str(), path, sizeof(path) - 1) > 0 &&
         absl::EndsWith(path, "-wal");
}

bool FailsToSync(int fd) {
  if (disk == Disk::kWell || !IsWal(fd)) return false;
  if (disk == Disk::kDies) disk = Disk::kDead;
  ++num_failed_syncs;
  errno = EIO;
  return true;
}

ssize_t Write(int fd, const void* bytes, size_t size, off_t offset) {
  if (disk == Disk::kDead && IsWal(fd)) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

}  // namespace

// In the place of libc's, for SQLite too.
extern "C" {
int fdatasync(int fd) {
  if (FailsToSync(fd)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}
int fsync(int fd) {
  if (FailsToSync(fd)) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return Write(fd, bytes, size, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  return Write(fd, bytes, size, offset);
}
}

namespace seer {
namespace {

using ::testing::IsEmpty;

const absl::Time kNow = TestTime();

template <typename Call>
absl::Status WithFailingCommit(const Call& call) {
  disk = Disk::kDoesNotSync;
  num_failed_syncs = 0;
  const absl::Status status = call();
  disk = Disk::kWell;
  return num_failed_syncs > 0 ? status : absl::UnknownError("no sync failed");
}

class CommitTest : public testing::Test {
 protected:
  // Lets a process do `life` and die, as kill -9 would end it.
  void LiveAndDie(const std::function<bool(Catalog&)>& life) {
    catalog_.Close();
    const pid_t child = fork();
    if (child == 0) {
      SetLogSink([](absl::string_view) {});
      auto catalog = Catalog::Open(catalog_.options());
      // The first change of a process begins the WAL: it syncs its header
      // before any commit, and it is a commit's sync that is to fail.
      _exit(catalog.ok() && BeginWal(**catalog) && life(**catalog) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0) << "the child did not do what it should";
    catalog_.Reopen();
    EXPECT_THAT(catalog_->recovery().damaged, IsEmpty());
  }
  static bool BeginWal(Catalog& catalog) {
    return catalog.CreateUpload(UploadOf(UploadKind::kDataset, "first"), kNow)
        .ok();
  }
  std::string CreateRunningJob() {
    CalibrationSpec spec;
    spec.model = "m";
    spec.dataset_id = catalog_.AddDataset("text");
    const std::string id = catalog_->CreateJob(spec, {}, kNow).value().id;
    return catalog_->StartJob(id, kNow).value().id;
  }
  static absl::Status Save(Catalog& catalog, const std::string& id, int step) {
    CalibrationProgress progress;
    progress.step = step;
    const std::string bytes = "step " + std::to_string(step);
    return catalog.SaveCheckpoint(id, progress, {bytes});
  }

  TemporaryCatalog catalog_;
};

TEST_F(CommitTest, OfACheckpoint) {
  const std::string id = CreateRunningJob();
  ASSERT_TRUE(Save(*catalog_, id, 1).ok());
  LiveAndDie([&](Catalog& catalog) {
    disk = Disk::kDies;
    return absl::IsInternal(Save(catalog, id, 2));
  });
  // SQLite found the commit that was said to have failed.
  EXPECT_EQ(catalog_->GetJob(id).value().progress.step, 2);
  EXPECT_TRUE(catalog_->CheckpointPath(id).ok());
}

TEST_F(CommitTest, OfACheckpointOnADiskThatComesBack) {
  const std::string id = CreateRunningJob();
  ASSERT_TRUE(Save(*catalog_, id, 1).ok());
  LiveAndDie([&](Catalog& catalog) {
    return absl::IsInternal(
               WithFailingCommit([&] { return Save(catalog, id, 2); })) &&
           catalog.GetJob(id).value().progress.step == 1 &&
           Save(catalog, id, 3).ok();
  });
  EXPECT_EQ(catalog_->GetJob(id).value().progress.step, 3);
  EXPECT_TRUE(catalog_->CheckpointPath(id).ok());
}

TEST_F(CommitTest, OfAGateSet) {
  const std::string id = CreateRunningJob();
  LiveAndDie([&](Catalog& catalog) {
    disk = Disk::kDies;
    return absl::IsInternal(
        catalog.CompleteJob(id, {}, FactsOfGateSet(), {"gate"}, kNow).status());
  });
  const CalibrationJob job = catalog_->GetJob(id).value();
  EXPECT_EQ(job.state, JobState::kSucceeded);
  EXPECT_TRUE(catalog_->VerifyGateSet(job.gate_set_id).ok());
}

TEST_F(CommitTest, OfAnUploadThatIsWrittenAgain) {
  const std::string content = "hello world";
  const std::string id =
      catalog_->CreateUpload(UploadOf(UploadKind::kDataset, content), kNow)
          .value()
          .id;
  LiveAndDie([&](Catalog& catalog) {
    const absl::Status failed = WithFailingCommit([&] {
      catalog.AppendToUpload(id, 0, content, kNow).value();
      return catalog.CommitUpload(id, kNow).status();
    });
    return absl::IsInternal(failed) &&
           catalog.AppendToUpload(id, 0, "hello", kNow).value() == 5;
  });
  EXPECT_EQ(catalog_->GetUpload(id).value().state, UploadState::kReceiving);
  EXPECT_TRUE(catalog_->AppendToUpload(id, 0, content, kNow).ok());
  EXPECT_TRUE(catalog_->SealUpload(id, kNow).ok());
}

TEST_F(CommitTest, OfAnUploadOnADiskThatDies) {
  const std::string content = "hello world";
  const std::string id =
      catalog_->CreateUpload(UploadOf(UploadKind::kDataset, content), kNow)
          .value()
          .id;
  LiveAndDie([&](Catalog& catalog) {
    disk = Disk::kDies;
    catalog.AppendToUpload(id, 0, content, kNow).value();
    return absl::IsInternal(catalog.CommitUpload(id, kNow).status()) &&
           absl::IsInternal(
               catalog.AppendToUpload(id, 0, "hello", kNow).status());
  });
  EXPECT_TRUE(catalog_->SealUpload(id, kNow).ok());
}

}  // namespace
}  // namespace seer
