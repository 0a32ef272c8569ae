// The real server is killed while an upload runs, while a gate is trained and
// while what requests use changes; each time what it had answered must hold.
//
//   calibration_kill_test [--kills=N] [--seed=S]

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/admin/rollout_change.h"
#include "gtest/gtest.h"
#include "tests/e2e/administered_server.h"
#include "tests/testing/kill_flags.h"

namespace seer {
namespace {

int num_kills = 8;
uint64_t first_seed = 1;

using Stub = GateAdminClient::Stub;

// Of the jobs here: enough for a kill to find them at it.
constexpr int kSteps = 40;

class CalibrationKillTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.Start();
    dataset_ = server_.UploadText(RandomText(1, 8000));
    for (int i = 0; i < 3; ++i) {
      gate_sets_.push_back(server_.UploadGateSet(i + 1));
    }
    // Twice, so that there is something to roll back to.
    server_.MakeStable(gate_sets_[0]);
    server_.MakeStable(gate_sets_[1]);
    const auto job = CreateJob();
    ASSERT_TRUE(job.ok()) << job.status();
    undisturbed_ = OutcomeOf(server_.EndOf(job->name()));
    ASSERT_FALSE(undisturbed_.empty());
  }

  int64_t Draw(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  absl::StatusOr<v1::CalibrationJob> CreateJob() {
    return server_.CreateJob(AdministeredServer::SmallJob(dataset_, kSteps));
  }
  v1::CalibrationJob Job(const std::string& name) {
    const auto job = server_.client().GetCalibrationJob(name);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : v1::CalibrationJob();
  }
  // All that a job comes to but times, and perplexities, which depend on how
  // the engine cuts requests: the gate set's file after its header, and the
  // recalls. "" of a job that made none.
  std::string OutcomeOf(const v1::CalibrationJob& job) {
    EXPECT_EQ(job.state(), v1::CALIBRATION_JOB_STATE_SUCCEEDED)
        << job.ShortDebugString();
    const auto file = server_.client().DownloadGateSet(job.gate_set());
    EXPECT_TRUE(file.ok()) << file.status();
    if (!file.ok()) return "";
    uint64_t header_size = 0;  // little-endian, as this machine
    std::memcpy(&header_size, file->data(), sizeof(header_size));
    v1::GateQuality recalls;
    *recalls.mutable_layers() = job.quality().layers();
    return file->substr(sizeof(header_size) + header_size) +
           recalls.SerializeAsString();
  }
  // The rollout is one of these, and its newest gate set serves.
  void ExpectRollout(const std::vector<v1::GateRollout>& allowed) {
    const v1::GateRollout now = server_.Rollout();
    EXPECT_TRUE(std::any_of(allowed.begin(), allowed.end(),
                            [&](const v1::GateRollout& rollout) {
                              return rollout.stable() == now.stable() &&
                                     rollout.canary() == now.canary() &&
                                     rollout.canary_fraction() ==
                                         now.canary_fraction() &&
                                     rollout.previous() == now.previous();
                            }))
        << now.ShortDebugString();
    const v1::SparsityReport report = server_.ReportOfARequest();
    EXPECT_EQ(report.gate(),
              now.canary().empty() ? now.stable() : now.canary());
    EXPECT_EQ(report.gate_version(),
              server_.client().GetGateSet(report.gate())->sha256());
  }
  void Restart() {
    server_.Kill();
    server_.Start();
  }

  // The step of the checkpoint that it leaves.
  int64_t Pause(const std::string& name);

  void KillInAnUpload();
  void KillInTraining();
  void KillAfterAnActivation();
  void KillInAnActivation();
  // A change of the rollout, drawn.
  absl::StatusOr<v1::GateRollout> Change(const v1::GateRollout& before,
                                         uint64_t draw, bool validate_only);

  std::mt19937_64 random_{first_seed};
  AdministeredServer server_;
  std::string dataset_;
  std::vector<std::string> gate_sets_;
  std::string undisturbed_;
  std::map<std::string, int> kills_;  // by what they met
};

void CalibrationKillTest::KillInAnUpload() {
  const std::string file = RandomText(random_(), Draw(100'000, 24'000'000));
  const int64_t size = static_cast<int64_t>(file.size());
  const auto upload = server_.CreateUpload(
      v1::UPLOAD_KIND_DATASET, v1::UPLOAD_FORMAT_TEXT, size, DigestOf(file));
  ASSERT_TRUE(upload.ok()) << upload.status();
  const std::string& name = upload->name();
  // A stream that ends in order is on disk; one that the kill ends may be, up
  // to what was sent.
  const int64_t committed = Draw(1, size / 2);
  const int64_t last_sent = Draw(committed, size - 1);
  const int64_t chunk_size = Draw(1000, 1 << 20);
  const auto on_chunk = [](v1::WriteUploadRequest&) {};
  const auto half =
      server_.WriteChunks(name, absl::string_view(file).substr(0, committed), 0,
                          chunk_size, on_chunk);
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_EQ(half->committed_size(), committed);
  int64_t sent = committed;
  bool killed = false;
  const auto cut_off = server_.WriteChunks(
      name, file, committed, chunk_size, [&](v1::WriteUploadRequest& chunk) {
        if (!killed && chunk.offset() + chunk_size > last_sent) {
          server_.Kill();
          killed = true;
        }
        if (!killed) sent += static_cast<int64_t>(chunk.data().size());
      });
  EXPECT_FALSE(cut_off.ok());
  ASSERT_TRUE(killed);
  server_.Start();
  const auto found = server_.GetUpload(name);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_GE(found->committed_size(), committed);
  EXPECT_LE(found->committed_size(), sent);
  ++kills_[found->committed_size() > committed
               ? "upload, more on disk than said"
               : "upload"];
  const auto whole = server_.WriteChunks(name, file, found->committed_size(),
                                         chunk_size, on_chunk);
  ASSERT_TRUE(whole.ok()) << whole.status();
  v1::FinalizeUploadRequest finalize;
  finalize.set_name(name);
  const auto finalized = server_.client().Call(&Stub::FinalizeUpload, finalize);
  ASSERT_TRUE(finalized.ok()) << finalized.status();
  EXPECT_EQ(finalized->dataset().sha256(), DigestOf(file));
  EXPECT_TRUE(server_.client().DeleteDataset(finalized->dataset().name()).ok());
}

int64_t CalibrationKillTest::Pause(const std::string& name) {
  const auto paused = server_.client().PauseCalibrationJob(name);
  EXPECT_TRUE(paused.ok()) << paused.status();
  v1::CalibrationJob job = Job(name);
  while (job.state() == v1::CALIBRATION_JOB_STATE_RUNNING) {
    absl::SleepFor(absl::Milliseconds(1));
    job = Job(name);
  }
  return job.progress().checkpoint_step();
}

void CalibrationKillTest::KillInTraining() {
  const auto created = CreateJob();
  ASSERT_TRUE(created.ok()) << created.status();
  const std::string& name = created->name();
  const auto wait_for_step = [&](int64_t step) {
    v1::CalibrationJob job = Job(name);
    while (job.progress().step() < step && !HasEnded(job)) {
      absl::SleepFor(absl::Milliseconds(1));
      job = Job(name);
    }
  };
  int64_t checkpoint_step = 0;
  switch (Draw(0, 2)) {
    case 0:  // before any checkpoint
      wait_for_step(Draw(0, kSteps / 2));
      break;
    case 1: {  // after one, which a pause writes
      const int64_t step = Draw(0, kSteps / 2);
      wait_for_step(step);
      checkpoint_step = Pause(name);
      EXPECT_GE(checkpoint_step, step);
      ASSERT_TRUE(server_.client().ResumeCalibrationJob(name).ok());
      wait_for_step(checkpoint_step + Draw(0, 4));
      break;
    }
    case 2:  // while the budget profile or the quality is found, or just after
      wait_for_step(kSteps);
      absl::SleepFor(absl::Milliseconds(Draw(0, 300)));
      break;
  }
  const v1::GateRollout rollout = server_.Rollout();
  Restart();
  ExpectRollout({rollout});
  const v1::CalibrationJob found = Job(name);
  const int64_t resumed_at = found.progress().checkpoint_step();
  EXPECT_GE(resumed_at, checkpoint_step);
  ++kills_[HasEnded(found)        ? "job that had ended"
           : resumed_at == 0      ? "job without a checkpoint"
           : resumed_at == kSteps ? "job that was trained"
                                  : "job with a checkpoint"];
  const v1::CalibrationJob ended = server_.EndOf(name);
  EXPECT_TRUE(OutcomeOf(ended) == undisturbed_) << "the same, kill or no kill";
  const auto checked = server_.client().ValidateGateSet(ended.gate_set());
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_TRUE(checked->valid()) << checked->ShortDebugString();
}

absl::StatusOr<v1::GateRollout> CalibrationKillTest::Change(
    const v1::GateRollout& before, uint64_t draw, bool validate_only) {
  if (draw % 3 == 0) {
    v1::RollbackGateRolloutRequest request;
    request.set_name(before.name());
    request.set_etag(before.etag());
    request.set_validate_only(validate_only);
    return server_.client().Call(&Stub::RollbackGateRollout, request);
  }
  // Another stable set; or another for all requests, but as a canary.
  v1::UpdateGateRolloutRequest request;
  *request.mutable_gate_rollout() = before;
  v1::GateRollout& rollout = *request.mutable_gate_rollout();
  std::string other = gate_sets_[draw / 3 % gate_sets_.size()];
  if (other == before.stable()) {
    other = gate_sets_[(draw / 3 + 1) % gate_sets_.size()];
  }
  if (draw % 3 == 1) {
    rollout.set_stable(other);
    rollout.clear_canary();
    rollout.set_canary_fraction(0);
  } else {
    rollout.set_canary(other);
    rollout.set_canary_fraction(1);
  }
  request.set_validate_only(validate_only);
  return server_.client().Call(&Stub::UpdateGateRollout, request);
}

void CalibrationKillTest::KillAfterAnActivation() {
  const auto after = Change(server_.Rollout(), random_(), false);
  ASSERT_TRUE(after.ok()) << after.status();
  Restart();
  ++kills_["after a change"];
  ExpectRollout({*after});
}

void CalibrationKillTest::KillInAnActivation() {
  const v1::GateRollout before = server_.Rollout();
  const uint64_t draw = random_();
  const auto wanted = Change(before, draw, true);
  ASSERT_TRUE(wanted.ok()) << wanted.status();
  absl::StatusOr<v1::GateRollout> after;
  std::thread caller([&] { after = Change(before, draw, false); });
  absl::SleepFor(absl::Microseconds(Draw(0, 6'000)));
  server_.Kill();
  caller.join();
  server_.Start();
  ++kills_[after.ok() ? "change, answered"
           : server_.Rollout().etag() == before.etag()
               ? "change, not done"
               : "change, done and not answered"];
  if (after.ok()) {
    ExpectRollout({*after});
  } else {
    ExpectRollout({before, *wanted});
  }
}

TEST_F(CalibrationKillTest, WhatWasAnsweredHolds) {
  for (int i = 0; i < num_kills; ++i) {
    SCOPED_TRACE(absl::StrCat("kill ", i));
    switch (i % 4) {
      case 0:
        KillInAnUpload();
        break;
      case 1:
        KillInTraining();
        break;
      case 2:
        KillAfterAnActivation();
        break;
      case 3:
        KillInAnActivation();
        break;
    }
    if (HasFailure()) {
      std::printf("%s\n", server_.process().Log().c_str());
      return;
    }
  }
  for (const auto& [what, count] : kills_) {
    std::printf("%3d kills: %s\n", count, what.c_str());
  }
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  return seer::RunKillTests(argc, argv, &seer::num_kills, &seer::first_seed);
}
