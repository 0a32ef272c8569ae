#include "tests/e2e/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "httplib.h"

namespace seer {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number in a file, once it is there; 0 before.
int ReadPort(const std::string& path) {
  int port = 0;
  return absl::SimpleAtoi(ReadFile(path), &port) ? port : 0;
}

bool Eventually(absl::FunctionRef<bool()> condition) {
  const absl::Time give_up = absl::Now() + absl::Minutes(1);
  while (!condition()) {
    if (absl::Now() > give_up) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

int ExitCodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

}  // namespace

std::string NewFolder() {
  std::string folder = ::testing::TempDir() + "/e2e_XXXXXX";
  EXPECT_NE(mkdtemp(folder.data()), nullptr) << folder;
  return folder;
}

std::string NewModel(const TinyLlamaOptions& options) {
  const std::string folder = NewFolder();
  const absl::Status status = WriteTinyLlama(folder, options);
  EXPECT_TRUE(status.ok()) << status;
  return folder;
}

ServerProcess::ServerProcess(const std::string& model,
                             std::vector<std::string> flags)
    : folder_(NewFolder()) {
  // The caller's flags come last: the last of a kind counts.
  std::vector<std::string> words = {
      "server/seerserve",
      "--model=" + model,
      "--model_id=tiny",
      "--port=0",
      "--http_port=0",
      "--num_threads=2",
      "--kv_cache_mib=64",
      "--port_file=" + folder_ + "/port",
      "--http_port_file=" + folder_ + "/http_port",
  };
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  const std::string log = folder_ + "/log";
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  EXPECT_EQ(
      posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
}

ServerProcess::~ServerProcess() {
  if (exit_code_ >= 0 || pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool ServerProcess::WaitUntilServing() {
  while (true) {
    // The gRPC port is written last.
    port_ = ReadPort(folder_ + "/port");
    if (port_ != 0) break;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = ExitCodeOf(status);
      return false;
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  http_port_ = ReadPort(folder_ + "/http_port");
  stub_ = v1::CompletionService::NewStub(NewChannel());
  return true;
}

int ServerProcess::WaitForExit() {
  if (exit_code_ < 0) {
    int status = 0;
    waitpid(pid_, &status, 0);
    exit_code_ = ExitCodeOf(status);
  }
  return exit_code_;
}

void ServerProcess::Signal(int number) { kill(pid_, number); }

std::string ServerProcess::Log() const { return ReadFile(folder_ + "/log"); }

std::shared_ptr<grpc::Channel> ServerProcess::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port_),
                                   grpc::InsecureChannelCredentials(),
                                   arguments);
}

v1::Load ServerProcess::GetLoad() {
  grpc::ClientContext context;
  v1::Load load;
  const grpc::Status status =
      stub_->GetLoad(&context, v1::GetLoadRequest(), &load);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return load;
}

std::string ServerProcess::HttpGet(const std::string& path) const {
  httplib::Client client("127.0.0.1", http_port_);
  const auto response = client.Get(path);
  return response && response->status == 200 ? response->body : "";
}

bool ServerProcess::PagesAreFree() {
  return Eventually([&] { return GetLoad().kv_pages_used() == 0; });
}

bool ServerProcess::MetricBecomes(const std::string& series,
                                  double value) const {
  return Eventually([&] { return Metric(series) == value; });
}

double ServerProcess::Metric(const std::string& series) const {
  double sum = -1;
  for (const absl::string_view line :
       absl::StrSplit(HttpGet("/metrics"), '\n')) {
    double value;
    if (!absl::StartsWith(line, series) ||
        !absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) {
      continue;
    }
    sum = sum < 0 ? value : sum + value;
  }
  return sum;
}

}  // namespace seer
