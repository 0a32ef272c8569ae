// From text to a gate set that serves, beside streams that never stop: upload,
// calibrate, canary, promotion, roll back.
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/admin/rollout_change.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/e2e/administered_server.h"

namespace seer {
namespace {

constexpr int kStreams = 32;
constexpr int kMaxTokens = 4;
constexpr double kCanaryFraction = 0.25;

// While what requests use changes: those that see it are of no phase.
constexpr int kChanging = -1;

// Streams without a gate that run one after the other on many connections, and
// which gate set served them.
class EndlessStreams {
 public:
  explicit EndlessStreams(ServerProcess& server) {
    for (int i = 0; i < kStreams; ++i) {
      threads_.emplace_back([this, i, &server] {
        auto stub = v1::CompletionService::NewStub(server.NewChannel());
        for (int k = 0; !stop_; ++k) RunOne(*stub, 1000 * k + i);
      });
    }
  }
  ~EndlessStreams() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  void SetPhase(int phase) { phase_ = phase; }

  // Waits until so many streams ran wholly within a phase, or one has failed.
  void WaitFor(int phase, int count) {
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

  // Streams that ran wholly within a phase, by gate version.
  std::map<std::string, int> served(int phase) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return served_[phase];
  }
  std::vector<std::string> failures() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return failures_;
  }

 private:
  void RunOne(v1::CompletionService::Stub& stub, int seed) {
    const int before = phase_;
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    auto reader = stub.Complete(
        &context, SparseRequest(seed, 100 + seed % 90, kMaxTokens));
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

  std::atomic<int> phase_{kChanging};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::map<int, std::map<std::string, int>> served_;
  std::vector<std::string> failures_;
  std::vector<std::thread> threads_;
};

class CalibrationTest : public ::testing::Test {
 protected:
  void SetUp() override { server_.Start(); }

  // Whether the gate sets in their roles are these and no others.
  void ExpectRoles(const std::map<std::string, v1::GateSet>& roles) {
    const std::string series = "seer_gate_set_info{model=\"tiny\"";
    EXPECT_EQ(server_.process().Metric(series), roles.size());
    for (const auto& [role, gate_set] : roles) {
      EXPECT_EQ(server_.process().Metric(absl::StrCat(
                    series, ",gate_set=\"", gate_set.name(), "\",digest=\"",
                    gate_set.sha256(), "\",role=\"", role, "\"}")),
                1)
          << role;
    }
  }
  v1::GateSet GateSet(const std::string& name) {
    const absl::StatusOr<v1::GateSet> gate_set =
        server_.client().GetGateSet(name);
    EXPECT_TRUE(gate_set.ok()) << gate_set.status();
    return gate_set.ok() ? *gate_set : v1::GateSet();
  }
  // The gate set that a calibration on new text makes.
  std::string Calibrate() {
    const auto job = server_.CreateJob(AdministeredServer::SmallJob(
        server_.UploadText(RandomText(1, 12000)), 5));
    EXPECT_TRUE(job.ok()) << job.status();
    if (!job.ok()) return "";
    int64_t step = 0;
    const auto ended = server_.client().WatchCalibrationJob(
        job->name(), absl::Milliseconds(100),
        [&](const v1::CalibrationJob& frame) {
          EXPECT_GE(frame.progress().step(), step);
          step = frame.progress().step();
        });
    EXPECT_TRUE(ended.ok()) << ended.status();
    if (!ended.ok()) return "";
    EXPECT_EQ(ended->state(), v1::CALIBRATION_JOB_STATE_SUCCEEDED)
        << ended->ShortDebugString();
    EXPECT_EQ(step, 5);
    EXPECT_EQ(ended->quality().layers_size(), 2);
    EXPECT_EQ(ended->quality().perplexities_size(), 3);
    EXPECT_GE(ended->quality().dense_perplexity(), 1.0);
    return ended->gate_set();
  }

  AdministeredServer server_;
};

TEST_F(CalibrationTest, AGateIsMadeTriedPromotedAndTakenBackBesideStreams) {
  // The share of a canary that a sample shows is off by more than 6 sigma once
  // in 5e8 runs.
  constexpr int kSample = 1000;
  enum { kFirst, kCanary, kPromoted, kTakenBack };
  const v1::GateSet first = GateSet(server_.UploadGateSet(1));
  server_.MakeStable(first.name());
  EndlessStreams streams(server_.process());

  streams.SetPhase(kFirst);
  const v1::GateSet second = GateSet(Calibrate());
  ASSERT_NE(second.sha256(), "");
  EXPECT_NE(second.sha256(), first.sha256());
  EXPECT_TRUE(second.has_profile());
  streams.WaitFor(kFirst, kStreams);
  streams.SetPhase(kChanging);

  ActivateOptions canary;
  canary.canary_fraction = kCanaryFraction;
  auto rollout = ActivateGateSet(server_.client(), second.name(), canary, {});
  ASSERT_TRUE(rollout.ok()) << rollout.status();
  streams.SetPhase(kCanary);
  ExpectRoles({{"stable", first}, {"canary", second}});
  streams.WaitFor(kCanary, kSample);
  streams.SetPhase(kChanging);

  rollout = PromoteCanary(server_.client(), kTinyRollout, {});
  ASSERT_TRUE(rollout.ok()) << rollout.status();
  streams.SetPhase(kPromoted);
  ExpectRoles({{"stable", second}, {"previous", first}});
  streams.WaitFor(kPromoted, kStreams);
  streams.SetPhase(kChanging);

  rollout = RollBack(server_.client(), kTinyRollout, {});
  ASSERT_TRUE(rollout.ok()) << rollout.status();
  streams.SetPhase(kTakenBack);
  ExpectRoles({{"stable", first}, {"previous", second}});
  streams.WaitFor(kTakenBack, kStreams);
  streams.SetPhase(kChanging);

  for (const std::string& failure : streams.failures())
    ADD_FAILURE() << failure;
  const auto versions = [&](int phase) {
    std::set<std::string> versions;
    for (const auto& [version, num] : streams.served(phase)) {
      versions.insert(version);
    }
    return versions;
  };
  using Versions = std::set<std::string>;
  EXPECT_EQ(versions(kFirst), Versions{first.sha256()});
  EXPECT_EQ(versions(kCanary), (Versions{first.sha256(), second.sha256()}));
  EXPECT_EQ(versions(kPromoted), Versions{second.sha256()});
  EXPECT_EQ(versions(kTakenBack), Versions{first.sha256()});
  for (const std::string& version : versions(kChanging)) {
    EXPECT_TRUE(version == first.sha256() || version == second.sha256());
  }
  std::map<std::string, int> sample = streams.served(kCanary);
  const int num = sample[first.sha256()] + sample[second.sha256()];
  EXPECT_NEAR(sample[second.sha256()], num * kCanaryFraction,
              6 * std::sqrt(num * kCanaryFraction * (1 - kCanaryFraction)));

  EXPECT_EQ(server_.process().Metric(
                "seer_calibration_jobs{model=\"tiny\",state=\"succeeded\"}"),
            1);
  EXPECT_EQ(server_.process().Metric("seer_calibration_jobs{"), 1);
  EXPECT_EQ(server_.process().Metric(
                "seer_gate_activations_total{model=\"tiny\",result=\"ok\"}"),
            4);
  EXPECT_EQ(server_.process().Metric("seer_gate_activations_total{"), 4);
}

TEST_F(CalibrationTest, AProfileIsMadeWithoutTrainingAndServes) {
  v1::CalibrationJob job = AdministeredServer::SmallJob(
      server_.UploadText(RandomText(2, 12000)), /*steps=*/0);
  job.set_warmup_steps(0);
  job.set_design("oracle_mass");
  EXPECT_EQ(NamedBy(server_.CreateJob(job).status()), "ORACLE_NOT_ALLOWED");
  job.set_design("mean_pool");
  const auto created = server_.CreateJob(job);
  ASSERT_TRUE(created.ok()) << created.status();
  const v1::CalibrationJob ended = server_.EndOf(created->name());
  ASSERT_EQ(ended.state(), v1::CALIBRATION_JOB_STATE_SUCCEEDED)
      << ended.ShortDebugString();
  EXPECT_EQ(ended.quality().perplexities_size(), 3);
  const v1::GateSet made = GateSet(ended.gate_set());
  EXPECT_EQ(made.design(), "mean_pool");
  EXPECT_TRUE(made.has_profile());
  server_.MakeStable(made.name());
  const v1::SparsityReport report = server_.ReportOfARequest();
  EXPECT_EQ(report.gate(), made.name());
  EXPECT_EQ(report.gate_version(), made.sha256());
}

}  // namespace
}  // namespace seer
