// From text to a gate set that serves, beside streams that never stop: upload,
// calibrate, canary, promotion, roll back.
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/admin/rollout_change.h"
#include "gtest/gtest.h"
#include "tests/e2e/administered_server.h"
#include "tests/e2e/endless_streams.h"

namespace seer {
namespace {

constexpr int kStreams = 32;
constexpr double kCanaryFraction = 0.25;
constexpr int kChanging = EndlessStreams::kChanging;

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
  EndlessStreams streams(server_.process(), kStreams);

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

  streams.ExpectNoFailures();
  const auto versions = [&](int phase) { return streams.versions(phase); };
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
