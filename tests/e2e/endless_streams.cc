#include "tests/e2e/endless_streams.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/e2e/administered_server.h"

namespace seer {
namespace {

constexpr int kMaxTokens = 4;

}  // namespace

EndlessStreams::EndlessStreams(ServerProcess& server, int num_streams) {
  for (int i = 0; i < num_streams; ++i) {
    threads_.emplace_back([this, i, &server] {
      auto stub = v1::CompletionService::NewStub(server.NewChannel());
      for (int k = 0; !stop_; ++k) RunOne(*stub, 1000 * k + i);
    });
  }
}

EndlessStreams::~EndlessStreams() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
}

void EndlessStreams::WaitFor(int phase, int count) {
  while (true) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      int sum = 0;
      for (const auto& [version, num] : served_[phase]) sum += num;
      if (sum >= count || !failures_.empty()) return;
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
}

std::map<std::string, int> EndlessStreams::served(int phase) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return served_[phase];
}

std::set<std::string> EndlessStreams::versions(int phase) {
  std::set<std::string> versions;
  for (const auto& [version, num] : served(phase)) versions.insert(version);
  return versions;
}

void EndlessStreams::ExpectNoFailures() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::string& failure : failures_) ADD_FAILURE() << failure;
}

void EndlessStreams::RunOne(v1::CompletionService::Stub& stub, int seed) {
  const int before = phase_;
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  auto reader =
      stub.Complete(&context, SparseRequest(seed, 100 + seed % 90, kMaxTokens));
  v1::Summary summary;
  int tokens = 0;
  for (v1::CompleteResponse frame; reader->Read(&frame);) {
    tokens += frame.delta().token_ids_size();
    if (frame.has_summary()) summary = frame.summary();
  }
  const grpc::Status status = reader->Finish();
  const int phase = phase_ == before ? before : kChanging;
  const v1::SparsityReport& report = summary.sparsity();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!status.ok() || tokens != kMaxTokens) {
    failures_.push_back(
        absl::StrCat(status.error_message(), ", tokens ", tokens));
  } else if (report.gate() !=
             absl::StrCat("models/tiny/gateSets/sha256-",
                          report.gate_version().substr(0, 12))) {
    failures_.push_back(report.ShortDebugString());
  }
  ++served_[phase][report.gate_version()];
}

}  // namespace seer
