// seerctl as a process: signals, pipes and exit codes.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/testing/scripted_admin_server.h"
#include "client/testing/scripted_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

extern char** environ;

namespace seer {
namespace {

using ::testing::HasSubstr;

// A child whose standard input is empty and whose standard output and error
// are read together.
class Process {
 public:
  explicit Process(std::vector<std::string> args) {
    args.insert(args.begin(), "client/seerctl");
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    EXPECT_EQ(
        posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ),
        0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    read_end_ = ends[0];
  }
  ~Process() { close(read_end_); }

  void Signal(int signal) { kill(pid_, signal); }

  // Reads until the output holds `text` or ends.
  bool WaitForOutput(const std::string& text) {
    char buffer[4096];
    while (output_.find(text) == std::string::npos) {
      const ssize_t size = read(read_end_, buffer, sizeof(buffer));
      if (size <= 0) return false;
      output_.append(buffer, size);
    }
    return true;
  }

  // Waits for the end; the exit code, or minus the signal that ended it.
  int Wait() {
    char buffer[4096];
    for (ssize_t size; (size = read(read_end_, buffer, sizeof(buffer))) > 0;) {
      output_.append(buffer, size);
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  const std::string& output() const { return output_; }

 private:
  pid_t pid_ = 0;
  int read_end_ = -1;
  std::string output_;
};

// Gives some text and then nothing, until the client goes away.
class SeerctlProcessTest : public ::testing::Test {
 protected:
  SeerctlProcessTest() {
    Script script;
    script.complete = [this](auto& context, const auto&, auto& writer) {
      v1::CompleteResponse frame;
      frame.mutable_delta()->set_text("begun");
      writer.Write(frame);
      while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
      cancelled_.Notify();
      return grpc::Status::CANCELLED;
    };
    server_ = std::make_unique<ScriptedServer>(script);
  }

  std::string ServerFlag() const {
    return absl::StrCat("--server=", server_->address());
  }

  absl::Notification cancelled_;
  std::unique_ptr<ScriptedServer> server_;
};

TEST_F(SeerctlProcessTest, SignalsCancelTheStream) {
  Process process({"complete", "x", ServerFlag()});
  ASSERT_TRUE(process.WaitForOutput("begun"));
  process.Signal(SIGINT);
  cancelled_.WaitForNotification();
  EXPECT_EQ(process.Wait(), 4);
  EXPECT_EQ(process.output(),
            "begun\nseerctl: CANCELLED: cancelled by the caller\n");
}

TEST_F(SeerctlProcessTest, TerminationCancelsToo) {
  Process process({"complete", "x", ServerFlag()});
  ASSERT_TRUE(process.WaitForOutput("begun"));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 4);
}

TEST(SeerctlAdminProcessTest, SignalsLeaveAJobAsItIs) {
  AdminScript script;
  script.watch_job = [](auto& context, const auto&, auto& writer) {
    v1::CalibrationJob job;
    job.set_state(v1::CALIBRATION_JOB_STATE_PAUSED);
    writer.Write(job);
    while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  const ScriptedAdminServer server(script);
  Process process({"jobs", "watch", "7", "--server=" + server.address()});
  ASSERT_TRUE(process.WaitForOutput("paused\n"));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait(), 4);
  EXPECT_EQ(process.output(),
            "paused\nseerctl: CANCELLED: cancelled by the caller; "
            "calibrationJobs/7 goes on; see seerctl jobs watch, pause or "
            "cancel calibrationJobs/7\n");
}

TEST_F(SeerctlProcessTest, ExitsWithTheCodeOfTheError) {
  Process process({"status", "--nonsense"});
  EXPECT_EQ(process.Wait(), 1);
  Process unimplemented({"status", ServerFlag()});
  EXPECT_EQ(unimplemented.Wait(), 2);
  EXPECT_THAT(unimplemented.output(),
              HasSubstr("UNIMPLEMENTED: not in the script"));
}

}  // namespace
}  // namespace seer
