// The catalog's process is killed at every fault point and at random moments;
// each time what it had answered must be there, and what it was at must be done
// or not done.
//
//   catalog_kill_test [--kills=N] [--seed=S]

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/fault_point.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/kill_flags.h"
#include "tests/testing/server/catalog_operations.h"
#include "tests/testing/temporary_folder.h"

namespace seer {
namespace {

int num_kills = 60;
uint64_t first_seed = 1;

// One in four kills comes at a random moment, the others in turn at these.
constexpr const char* kPoints[] = {
    "upload.create", "blob.write",   "blob.sync",      "folder.sync",
    "upload.commit", "blob.rename",  "upload.finish",  "upload.fail",
    "upload.delete", "blob.remove",  "catalog.delete", "job.create",
    "job.start",     "job.let_go",   "job.pause",      "job.resume",
    "job.cancel",    "job.complete", "rollout.write",  "job.checkpoint",
    "database.run",
};
// Kills that one catalog outlives: its rows make each state longer.
constexpr int kLives = 30;
constexpr int kNumPoints = sizeof(kPoints) / sizeof(*kPoints);

// Where the child dies: at this pass of this point. A commit passes its point
// twice, before and after.
const char* deadly_point = nullptr;
int passes_left = 0;

int DieThere(const char* point) {
  if (std::strcmp(point, deadly_point) == 0 && --passes_left == 0) {
    kill(getpid(), SIGKILL);
  }
  return 0;
}

// A killed process leaves what it wrote to the system, synced or not; so a disk
// that syncs at once will do, and it is many times as quick.
std::string QuickDisk() {
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
}

// The child: lives until it is killed, and tells each state and what it is
// about to do.
[[noreturn]] void Live(const CatalogOptions& options, uint64_t seed,
                       int journal) {
  const auto tell = [&](absl::string_view text) {
    if (write(journal, text.data(), text.size()) < 0) _exit(1);
  };
  if (deadly_point != nullptr) SetFaultHook(&DieThere);
  auto catalog = Catalog::Open(options);
  if (!catalog.ok()) {
    tell("failed " + catalog.status().ToString() + "\n");
    _exit(1);
  }
  std::mt19937_64 random(seed);
  while (true) {
    tell(absl::StrCat("state\n", absl::StrJoin(StateOf(**catalog), "\n"),
                      "\nend\n"));
    const CatalogOperation operation = DrawOperation(**catalog, random);
    tell(absl::StrCat("begin ", absl::StrJoin(operation.effect, ","), "\n"));
    const absl::Status status = operation.run();
    if (!status.ok()) {
      tell("failed " + status.ToString() + "\n");
      _exit(1);
    }
  }
}

// What the child told before it died.
struct Journal {
  CatalogState state;               // the last whole one
  std::vector<std::string> effect;  // of what it had begun since
  std::string failure;
};

void ReadJournal(absl::string_view text, Journal& journal) {
  CatalogState state;
  bool in_state = false;
  // The line that death cut off is left out.
  const std::vector<absl::string_view> lines =
      absl::StrSplit(text.substr(0, text.rfind('\n') + 1), '\n');
  for (absl::string_view line : lines) {
    if (line == "state") {
      in_state = true;
      state.clear();
    } else if (line == "end") {
      in_state = false;
      journal.state = state;
      journal.effect.clear();
    } else if (in_state) {
      state.insert(std::string(line));
    } else if (absl::ConsumePrefix(&line, "begin ")) {
      journal.effect = absl::StrSplit(line, ',');
    } else if (absl::ConsumePrefix(&line, "failed ")) {
      journal.failure = std::string(line);
    }
  }
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[1 << 16];
  for (ssize_t size; (size = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, size);
  }
  return text;
}

class CatalogKillTest : public testing::Test {
 protected:
  // Begins anew.
  void MakeCatalog() {
    MakeFolder();
    OpenCatalog();
  }
  void MakeFolder() {
    folder_.emplace(QuickDisk());
    options_ = CatalogOptions();
    options_.folder = folder_->path() + "/state";
    options_.sync_bytes = 100'000;
  }
  // To see what there is, and to close it again.
  void OpenCatalog() {
    auto catalog = Catalog::Open(options_);
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    known_ = StateOf(**catalog);
  }

  // Lets a child live until it is killed. `journal` begins as what is known and
  // ends as what the child told beside it.
  void LiveAndDie(uint64_t seed, Journal& journal) {
    std::mt19937_64 random(seed);
    const bool by_point = seed % 4 != 0;
    deadly_point = by_point ? kPoints[next_point_++ % kNumPoints] : nullptr;
    // What every operation passes must not always meet the first of them.
    const bool often = by_point && (absl::StartsWith(deadly_point, "blob.") ||
                                    absl::StartsWith(deadly_point, "data") ||
                                    absl::StartsWith(deadly_point, "folder"));
    passes_left = static_cast<int>(1 + random() % (often ? 50 : 4));
    const int microseconds = static_cast<int>(random() % 100'000);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      SetLogLevel(LogLevel::kError);
      Live(options_, seed, ends[1]);
    }
    close(ends[1]);
    if (!by_point) {
      usleep(microseconds);
      kill(child, SIGKILL);
    }
    ReadJournal(ReadAll(ends[0]), journal);
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(journal.failure, "");
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    ++kills_[by_point ? deadly_point : "a random moment"];
  }

  std::optional<TemporaryFolder> folder_;
  CatalogOptions options_;
  CatalogState known_;  // after the last kill
  std::map<std::string, int> kills_;
  int next_point_ = 0;
};

// At each pass of the points that a catalog comes by where it begins.
TEST_F(CatalogKillTest, AFirstOpenIsDoneOrBegunAnew) {
  for (const char* point : {"folder.sync", "catalog.migrate"}) {
    int num_kills_there = 0;
    for (bool killed = true; killed;) {
      SCOPED_TRACE(absl::StrCat("pass ", num_kills_there + 1, " of ", point));
      ASSERT_NO_FATAL_FAILURE(MakeFolder());
      deadly_point = point;
      passes_left = num_kills_there + 1;
      const pid_t child = fork();
      if (child == 0) {
        SetLogLevel(LogLevel::kError);
        SetFaultHook(&DieThere);
        _exit(Catalog::Open(options_).ok() ? 0 : 1);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      killed = WIFSIGNALED(status);
      if (killed) {
        ++num_kills_there;
      } else {
        ASSERT_EQ(WEXITSTATUS(status), 0);
      }
      ASSERT_NO_FATAL_FAILURE(OpenCatalog());
      EXPECT_EQ(known_.size(), 1u) << "beside the rollout there is nothing";
    }
    EXPECT_EQ(num_kills_there, 2);
  }
}

TEST_F(CatalogKillTest, EverythingIsDoneOrNotDone) {
  SetLogLevel(LogLevel::kWarning);
  int64_t num_swept = 0;
  for (int i = 0; i < num_kills; ++i) {
    const uint64_t seed = first_seed + i;
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    if (i % kLives == 0) {
      ASSERT_NO_FATAL_FAILURE(MakeCatalog());
    }
    Journal journal;
    journal.state = known_;
    ASSERT_NO_FATAL_FAILURE(LiveAndDie(seed, journal));
    SCOPED_TRACE(deadly_point == nullptr ? "at a random moment" : deadly_point);
    auto catalog = Catalog::Open(options_);
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    ASSERT_TRUE((*catalog)->recovery().damaged.empty());
    num_swept += (*catalog)->recovery().num_swept;
    known_ = StateOf(**catalog);
    ASSERT_EQ(Unexplained(journal.state, known_, journal.effect), "");
    ASSERT_EQ(BrokenFiles(**catalog, options_.folder + "/blobs"), "");
  }
  for (const auto& [where, count] : kills_) {
    std::printf("%3d kills at %s\n", count, where.c_str());
  }
  std::printf("%lld files swept\n", static_cast<long long>(num_swept));
  // Or the kills came where nothing was at stake.
  EXPECT_GT(num_swept, 0);
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  return seer::RunKillTests(argc, argv, &seer::num_kills, &seer::first_seed);
}
