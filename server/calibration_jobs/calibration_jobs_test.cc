#include "server/calibration_jobs/calibration_jobs.h"

#include <atomic>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/fault_point.h"
#include "base/logging.h"
#include "engine/errors.h"
#include "gtest/gtest.h"
#include "server/calibration_jobs/run/job_checkpoint.h"
#include "server/calibration_jobs/tokens/dataset_tokens.h"
#include "server/metrics/text_exposition.h"
#include "tests/testing/server/temporary_jobs.h"

namespace seer {
namespace {

// Which point the disk fails at, and how.
std::atomic<const char*> failing_point{""};
std::atomic<int> failing_errno{0};
std::atomic<int> num_failures{0};  // at that point
std::atomic<bool> is_held{false};  // who writes a scratch file waits

int Hook(const char* point) {
  while (is_held && std::string(point) == "scratch.write") {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const int error = failing_errno;
  if (error == 0 || std::string(point) != failing_point.load()) return 0;
  ++num_failures;
  return error;
}

class CalibrationJobsTest : public testing::Test {
 protected:
  ~CalibrationJobsTest() override {
    failing_errno = 0;
    is_held = false;
    jobs_.StopJobs();
    SetFaultHook(nullptr);
  }

  // Where the disk fails, from now on; at no point: it works.
  void FailAt(const char* point, int error) {
    failing_errno = 0;
    num_failures = 0;
    failing_point = point;
    SetFaultHook(Hook);
    failing_errno = error;
  }
  // Until the disk has failed so often at the point of FailAt.
  static void WaitForFailures(int count) {
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (num_failures < count && absl::Now() < give_up) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_GE(num_failures, count);
  }

  std::string DigestOf(const JobView& view) {
    return jobs_.catalog()->GetGateSet(view.record.gate_set_id).value().sha256;
  }
  std::string ReasonOfFailure(const std::string& id) {
    return jobs_.WaitForState(id, JobState::kFailed).record.failure->reason;
  }

  // Brings a new job to each place where it can be asked to leave off.
  enum class Place { kPreparing, kTraining, kEvaluating, kMeasuring };
  static constexpr Place kPlaces[] = {Place::kPreparing, Place::kTraining,
                                      Place::kEvaluating, Place::kMeasuring};
  std::string CreateAt(Place place) {
    const int64_t num_requests =
        static_cast<int64_t>(jobs_.engine().requests().size());
    is_held = place == Place::kPreparing;
    SetFaultHook(Hook);
    if (place == Place::kTraining) jobs_.calibrator().AllowTicks(3);
    if (place == Place::kEvaluating) jobs_.calibrator().AllowTicks(7);
    jobs_.is_engine_silent = place == Place::kMeasuring;
    const std::string id = jobs_.Create();
    switch (place) {
      case Place::kPreparing:
        jobs_.WaitUntil(id, [](const JobView& view) {
          return view.live && view.live->progress.phase == "preparing";
        });
        break;
      case Place::kTraining:
        jobs_.WaitUntil(id, [](const JobView& view) {
          return view.live && view.live->progress.step == 3;
        });
        break;
      case Place::kEvaluating:
        EXPECT_TRUE(jobs_.calibrator().WaitForTicks(7));
        break;
      case Place::kMeasuring:
        EXPECT_TRUE(jobs_.engine().WaitForRequests(num_requests + 1));
        break;
    }
    return id;
  }
  void LetGo() {
    is_held = false;
    jobs_.is_engine_silent = false;
    jobs_.calibrator().AllowTicks(INT64_MAX);
  }

  TemporaryJobs jobs_;
};

TEST_F(CalibrationJobsTest, LivesItsWholeLife) {
  jobs_.calibrator().AllowTicks(3);
  CalibrationSpec spec = jobs_.Spec();
  spec.target = "root_mass";
  const std::string id = jobs_.Create(spec);
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(3));
  JobView view = jobs_.WaitUntil(id, [](const JobView& job) {
    return job.live && job.live->progress.step == 3;
  });
  EXPECT_EQ(view.record.state, JobState::kRunning);
  EXPECT_EQ(view.live->progress.phase, "training");
  EXPECT_EQ(view.live->progress.layer_losses, std::vector<double>(4, 1.0 / 3));
  EXPECT_EQ(view.live->time_left, absl::Seconds(3));
  EXPECT_EQ(jobs_.calibrator().last_options().sequences_per_step, 2);
  EXPECT_EQ(jobs_.calibrator().last_options().target,
            CalibrationTarget::kRootMass);
  std::string metrics = ExposeText({&jobs_.metrics().registry()});
  EXPECT_TRUE(absl::StrContains(
      metrics, "seer_calibration_progress_ratio{model=\"fake\"} 0.5\n"));
  EXPECT_TRUE(absl::StrContains(
      metrics, "seer_calibration_jobs{model=\"fake\",state=\"running\"} 1\n"));

  jobs_.calibrator().AllowTicks(INT64_MAX);
  view = jobs_.WaitForState(id, JobState::kSucceeded);
  EXPECT_FALSE(view.live.has_value());
  EXPECT_EQ(view.record.progress.step, 6);
  const GateSetRecord gate_set =
      jobs_.catalog()->GetGateSet(view.record.gate_set_id).value();
  EXPECT_EQ(gate_set.display_name, "nightly");
  EXPECT_EQ(gate_set.facts.design, "Qavg_Kmaxminavg");
  EXPECT_EQ(gate_set.facts.provenance.tool_version, "fake");
  const GateQuality& quality = *gate_set.quality;
  EXPECT_EQ(quality.layers.size(), 4u);
  EXPECT_EQ(quality.layers[0].recalls[0].oracle_mass_recall, 0.95);
  EXPECT_DOUBLE_EQ(quality.dense_perplexity, std::exp(1.0));
  ASSERT_EQ(quality.perplexities.size(), 3u);
  for (const auto& [i, density] :
       std::vector<std::pair<int, double>>{{0, 0.5}, {1, 0.2}, {2, 0.1}}) {
    EXPECT_EQ(quality.perplexities[i].density, density);
    EXPECT_NEAR(quality.perplexities[i].perplexity, std::exp(2.0 - density),
                1e-12);
  }
  // It was named by its requests, and is gone from the device.
  const std::vector<GenerationRequest> requests = jobs_.engine().requests();
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[3].policy->gate->name,
            "models/fake/gateSets/" + view.record.gate_set_id);
  EXPECT_EQ(requests[3].priority, Priority::kBackground);
  EXPECT_TRUE(jobs_.gates().installed().empty());
  // And nothing else is left.
  EXPECT_GT(jobs_.catalog()
                ->GetDataset(view.record.spec.dataset_id)
                .value()
                .facts.num_tokens.value(),
            256);
  for (const auto& file :
       std::filesystem::directory_iterator(jobs_.catalog().options().folder)) {
    EXPECT_FALSE(absl::StrContains(file.path().string(), "scratch"));
  }
  metrics = ExposeText({&jobs_.metrics().registry()});
  EXPECT_TRUE(absl::StrContains(
      metrics, "seer_calibration_progress_ratio{model=\"fake\"} 0\n"));
  EXPECT_TRUE(absl::StrContains(
      metrics,
      "seer_calibration_job_duration_seconds_count{model=\"fake\",result="
      "\"succeeded\"} 1\n"));
}

TEST_F(CalibrationJobsTest, PausesAnywhereAndGoesOnTheSame) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(static_cast<int>(place));
    const std::string id = CreateAt(place);
    auto paused =
        std::async(std::launch::async, [&] { return jobs_.Pause(id); });
    if (place == Place::kPreparing) {
      absl::SleepFor(absl::Milliseconds(20));  // for the wish to be there
      is_held = false;
    }
    const JobView view = paused.get().value();
    EXPECT_EQ(view.record.state, JobState::kPaused);
    EXPECT_EQ(view.record.attempts, 0);
    EXPECT_EQ(view.record.has_checkpoint, place != Place::kPreparing);
    if (place == Place::kTraining) {
      EXPECT_EQ(view.record.progress.step, 3);
    }
    EXPECT_TRUE(jobs_.gates().installed().empty());
    LetGo();
    EXPECT_EQ(jobs_->Resume(id).value().record.state, JobState::kQueued);
    const JobView end = jobs_.WaitForState(id, JobState::kSucceeded);
    EXPECT_EQ(jobs_.calibrator().starts().back(), place == Place::kTraining ? 3
                                                  : place == Place::kEvaluating
                                                      ? 7
                                                      : 0);
    EXPECT_EQ(end.record.quality->perplexities.size(), 3u);
  }
}

// The same creation time and seed make the same gate, however it is disturbed.
TEST_F(CalibrationJobsTest, ACrashAndAnOrderlyStopChangeNothing) {
  jobs_.calibrator().AllowTicks(2);
  const std::string id = jobs_.Create();
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(2));
  jobs_.Restart(absl::Seconds(20));  // in order
  EXPECT_EQ(jobs_->Get(id).value().record.progress.step, 2);
  jobs_.calibrator().AllowTicks(5);
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(5));
  jobs_.Restart();  // steps 3 to 5 are lost
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(5));
  EXPECT_EQ(jobs_.calibrator().starts(), (std::vector<int64_t>{0, 2, 2}));
  // Now from the very beginning, with the same record.
  ASSERT_TRUE(jobs_.Pause(id).ok());
  jobs_.calibrator().AllowTicks(INT64_MAX);
  jobs_->Resume(id).value();
  const std::string disturbed =
      DigestOf(jobs_.WaitForState(id, JobState::kSucceeded));
  const CalibrationOptions options = jobs_.calibrator().last_options();
  EXPECT_EQ(options.created, jobs_->Get(id).value().record.create_time);

  std::shared_ptr<const TokenFile> tokens =
      TokenizeDataset(
          jobs_.catalog()->GetDataset(jobs_.Spec().dataset_id).value(),
          jobs_.tokenizer(),
          {jobs_.catalog().options().folder, options.sequence_len,
           jobs_.engine().model().vocab_size},
          [] { return false; })
          .value();
  auto run = jobs_.calibrator().Start(options, tokens, "").value();
  const auto event = run->Next(absl::InfiniteFuture());
  EXPECT_EQ(seer::DigestOf(std::get<CalibrationResult>(*event).file),
            disturbed);
}

TEST_F(CalibrationJobsTest, CancelsAnywhere) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(static_cast<int>(place));
    const std::string id = CreateAt(place);
    const JobView view = jobs_->Cancel(id).value();
    EXPECT_EQ(view.record.state, JobState::kCancelled);
    EXPECT_FALSE(view.record.has_checkpoint);
    if (place == Place::kTraining) {
      EXPECT_EQ(view.record.progress.step, 3);
    }
    EXPECT_EQ(ReasonTextOf(jobs_.Pause(id).status()), "JOB_STATE");
    LetGo();
    // The next one runs.
    const std::string next = jobs_.Create();
    jobs_->Cancel(next).value();
    EXPECT_EQ(jobs_->Get(id).value().record.state, JobState::kCancelled);
  }
}

TEST_F(CalibrationJobsTest, RunOneAtATimeInTheirOrder) {
  jobs_.calibrator().AllowTicks(1);
  const std::string first = jobs_.Create();
  const std::string second = jobs_.Create();
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(1));
  EXPECT_EQ(jobs_->Get(second).value().record.state, JobState::kQueued);
  // The one that is paused makes room, and waits behind when it is resumed.
  ASSERT_TRUE(jobs_.Pause(first).ok());
  jobs_.WaitForState(second, JobState::kRunning);
  jobs_->Resume(first).value();
  EXPECT_EQ(jobs_->Get(first).value().record.state, JobState::kQueued);
  jobs_.calibrator().AllowTicks(INT64_MAX);
  jobs_.WaitForState(second, JobState::kSucceeded);
  jobs_.WaitForState(first, JobState::kSucceeded);
}

TEST_F(CalibrationJobsTest, FailsForReasonsThatClientsKnow) {
  const auto start_error = [&](absl::Status status) {
    FakeCalibrator::Options options;
    options.start_error = std::move(status);
    jobs_.calibrator().Set(options);
  };
  const auto with = [](absl::Status status, const char* reason) {
    return WithReason(std::move(status), {reason, {}, {}});
  };
  start_error(
      with(absl::ResourceExhaustedError("never fits"), "OUT_OF_MEMORY"));
  EXPECT_EQ(ReasonOfFailure(jobs_.Create()), "OUT_OF_MEMORY");
  start_error(absl::InternalError("a secret in /home"));
  const JobView view = jobs_.WaitForState(jobs_.Create(), JobState::kFailed);
  EXPECT_EQ(view.record.failure->reason, "INTERNAL");
  EXPECT_FALSE(absl::StrContains(view.record.failure->message, "/home"));

  FakeCalibrator::Options diverges;
  diverges.error_at = 4;
  diverges.run_error =
      with(absl::AbortedError("layer 2 at step 4"), "DIVERGED");
  jobs_.calibrator().Set(diverges);
  const JobView diverged =
      jobs_.WaitForState(jobs_.Create(), JobState::kFailed);
  EXPECT_EQ(diverged.record.failure->reason, "DIVERGED");
  EXPECT_EQ(diverged.record.failure->message, "layer 2 at step 4");
  EXPECT_EQ(diverged.record.progress.step, 4);
  jobs_.calibrator().Set({});

  CalibrationSpec spec = jobs_.Spec();
  spec.dataset_id = jobs_.catalog().AddDataset("too short");
  EXPECT_EQ(ReasonOfFailure(jobs_.Create(spec)), "DATASET_TOO_SHORT");
  // Now its tokens are known.
  const absl::Status known = jobs_->Create(spec, {}).status();
  EXPECT_EQ(known.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(known)->reason, "DATASET_TOO_SHORT");
  EXPECT_EQ(ReasonOf(known)->limit, 256);

  // Of a newer server, before this one took its place.
  spec = jobs_.Spec();
  spec.target = "yet_another";
  const std::string newer = jobs_.Create(spec);
  EXPECT_EQ(ReasonOfFailure(newer), "UNKNOWN_SETTING");
  EXPECT_EQ(jobs_->Get(newer).value().record.failure->message,
            "this server knows no target yet_another");
  spec = jobs_.Spec();
  spec.loss = "yet_another";
  EXPECT_EQ(ReasonOfFailure(jobs_.Create(spec)), "UNKNOWN_SETTING");
}

TEST_F(CalibrationJobsTest, AnotherModelsAreHeldAndOtherWeightsFail) {
  CalibrationSpec other = jobs_.Spec();
  other.model = "other";
  const std::string queued = jobs_.Create(other);
  jobs_.StopJobs();
  const std::string ran =
      jobs_.catalog()->CreateJob(other, {}, absl::Now()).value().id;
  const std::string own =
      jobs_.catalog()->CreateJob(jobs_.Spec(), {}, absl::Now()).value().id;
  for (const std::string& id : {ran, own}) {
    ASSERT_TRUE(jobs_.catalog()
                    ->SaveCheckpoint(id, {}, {TrainingHeader("old"), "bytes"})
                    .ok());
  }
  for (int i = 0; i < 5; ++i) {  // it would have crashed by now
    jobs_.catalog()->StartJob(ran, absl::Now()).value();
  }
  jobs_.StartJobs();
  EXPECT_EQ(ReasonOfFailure(own), "MODEL_CHANGED");
  EXPECT_FALSE(jobs_->Get(own).value().record.has_checkpoint);
  jobs_.WaitForState(jobs_.Create(), JobState::kSucceeded);
  EXPECT_EQ(jobs_->Get(queued).value().record.state, JobState::kQueued);
  EXPECT_EQ(jobs_->Get(ran).value().record.state, JobState::kQueued);
  EXPECT_TRUE(jobs_->Get(ran).value().record.has_checkpoint);
  EXPECT_EQ(jobs_->Cancel(ran).value().record.state, JobState::kCancelled);
}

TEST_F(CalibrationJobsTest, WhatIsDamagedWhileItWaitsFailsIt) {
  std::vector<std::string> ids;
  jobs_.calibrator().AllowTicks(1);
  for (int i = 0; i < 2; ++i) {
    ids.push_back(jobs_.Create());
    ASSERT_TRUE(jobs_.calibrator().WaitForTicks(1));
    ASSERT_TRUE(jobs_.Pause(ids[i]).ok());
  }
  jobs_.StopJobs();
  std::filesystem::resize_file(jobs_.catalog()->CheckpointPath(ids[0]).value(),
                               20);
  for (int i = 0; i < 3; ++i) {
    jobs_.catalog()->ResumeJob(ids[1]).value();
    jobs_.catalog()->StartJob(ids[1], absl::Now()).value();
  }
  jobs_.StartJobs();
  EXPECT_EQ(ReasonOfFailure(ids[1]), "CRASHED");
  jobs_->Resume(ids[0]).value();
  EXPECT_EQ(ReasonOfFailure(ids[0]), "CHECKPOINT_DAMAGED");
  std::filesystem::remove(
      jobs_.catalog()->GetDataset(jobs_.Spec().dataset_id).value().path);
  const std::string id = jobs_.Create();
  EXPECT_EQ(ReasonOfFailure(id), "DATASET_DAMAGED");
}

// Whatever the disk refuses while a job is prepared, before its first
// checkpoint or after, it goes on when the disk does.
TEST_F(CalibrationJobsTest, WaitForTheDiskToBePrepared) {
  jobs_.calibrator().AllowTicks(3);
  const std::string id = jobs_.Create();
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(3));
  ASSERT_TRUE(jobs_.Pause(id).value().record.has_checkpoint);
  jobs_.calibrator().AllowTicks(INT64_MAX);
  for (const auto& [point, error] :
       std::vector<std::pair<const char*, int>>{{"scratch.write", ENOSPC},
                                                {"scratch.open", EROFS},
                                                {"scratch.write", EIO}}) {
    SCOPED_TRACE(point);
    FailAt(point, error);
    const std::string next = jobs_.Create();
    WaitForFailures(5);  // more than a job may crash
    EXPECT_EQ(jobs_->Get(next).value().record.state, JobState::kRunning);
    failing_errno = 0;
    jobs_.WaitForState(next, JobState::kSucceeded);
  }
  FailAt("blob.read", EIO);
  jobs_->Resume(id).value();
  WaitForFailures(2);
  EXPECT_TRUE(jobs_->Get(id).value().record.has_checkpoint);
  // It can be held, too.
  EXPECT_EQ(jobs_.Pause(id).value().record.progress.step, 3);
  failing_errno = 0;
  jobs_->Resume(id).value();
  jobs_.WaitForState(id, JobState::kSucceeded);
  EXPECT_EQ(jobs_.calibrator().starts().back(), 3);
}

TEST_F(CalibrationJobsTest, AFullDiskCostsCheckpointsOnly) {
  jobs_.calibrator().AllowTicks(3);
  const std::string id = jobs_.Create();
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(3));
  FailAt("blob.write", ENOSPC);
  // Not paused without its checkpoint, if that is all: the row can be written.
  EXPECT_EQ(jobs_.Pause(id).value().record.has_checkpoint, false);
  jobs_->Resume(id).value();
  jobs_.calibrator().AllowTicks(6);
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(6));
  failing_errno = 0;
  jobs_.calibrator().AllowTicks(INT64_MAX);
  jobs_.WaitForState(id, JobState::kSucceeded);
}

TEST_F(CalibrationJobsTest, AnEndWaitsForTheDisk) {
  for (const int error : {ENOSPC, EROFS, EIO}) {
    FailAt("job.complete", error);
    CalibrationSpec spec = jobs_.Spec();
    spec.seed = error;
    const std::string id = jobs_.Create(spec);
    WaitForFailures(2);
    const size_t num_requests = jobs_.engine().requests().size();
    WaitForFailures(4);  // it is kept, and not made again
    EXPECT_EQ(jobs_.engine().requests().size(), num_requests);
    const size_t num_starts = jobs_.calibrator().starts().size();
    if (error == EIO) {
      const CalibrationJob paused = jobs_.Pause(id).value().record;
      EXPECT_EQ(paused.state, JobState::kPaused);
      EXPECT_TRUE(paused.has_checkpoint);
      jobs_->Resume(id).value();
    }
    failing_errno = 0;
    jobs_.WaitForState(id, JobState::kSucceeded);
    EXPECT_EQ(jobs_.calibrator().starts().size(), num_starts);
  }
  FailAt("job.complete", ENOSPC);
  const std::string id = jobs_.Create();
  WaitForFailures(2);
  EXPECT_EQ(jobs_->Cancel(id).value().record.state, JobState::kCancelled);
  failing_errno = 0;
  jobs_.WaitForState(jobs_.Create(), JobState::kSucceeded);
}

TEST_F(CalibrationJobsTest, AnEndThatTheDiskRefusesIsWrittenLater) {
  CalibrationSpec too_short = jobs_.Spec();
  too_short.dataset_id = jobs_.catalog().AddDataset("too short");
  FailAt("job.fail", EROFS);
  const std::string id = jobs_.Create(too_short);
  const std::string next = jobs_.Create();
  WaitForFailures(2);  // it was tried again
  EXPECT_EQ(jobs_->Get(id).value().record.state, JobState::kRunning);
  failing_errno = 0;
  EXPECT_EQ(ReasonOfFailure(id), "DATASET_TOO_SHORT");
  jobs_.WaitForState(next, JobState::kSucceeded);
}

class ImpatientJobsTest : public CalibrationJobsTest {
 protected:
  ImpatientJobsTest() {
    JobOptions options = TemporaryJobs::QuickOptions();
    options.checkpoint_wait = absl::Milliseconds(20);
    options.checkpoint_period = absl::Milliseconds(10);
    impatient_ = std::make_unique<TemporaryJobs>(options, CatalogOptions(), 1);
  }
  std::unique_ptr<TemporaryJobs> impatient_;
};

TEST_F(ImpatientJobsTest, KeepTheOldCheckpointWhereNoNewOneComes) {
  TemporaryJobs& jobs = *impatient_;
  jobs.calibrator().AllowTicks(2);
  const std::string id = jobs.Create();
  jobs.WaitUntil(id, [](const JobView& view) {  // written now and then
    return view.record.has_checkpoint && view.record.progress.step == 2;
  });
  FakeCalibrator::Options mute;
  mute.gives_checkpoints = false;
  jobs.calibrator().Set(mute);
  jobs.calibrator().AllowTicks(4);
  ASSERT_TRUE(jobs.calibrator().WaitForTicks(4));
  EXPECT_EQ(jobs.Pause(id).value().record.progress.step, 2);
}

TEST_F(ImpatientJobsTest, ManageWithoutRoomForTheirGateSet) {
  TemporaryJobs& jobs = *impatient_;
  const std::string first = jobs.Create();
  const GateSetRecord gate_set =
      jobs.catalog()
          ->GetGateSet(
              jobs.WaitForState(first, JobState::kSucceeded).record.gate_set_id)
          .value();
  const GateFileFacts facts = jobs.gates().Install(gate_set.path).value();
  ASSERT_TRUE(jobs.gates().SetRouting({facts.name, "", 0}).ok());
  CalibrationSpec spec = jobs.Spec();
  spec.seed = 8;
  const JobView view =
      jobs.WaitForState(jobs.Create(spec), JobState::kSucceeded);
  EXPECT_TRUE(view.record.quality->perplexities.empty());
  EXPECT_DOUBLE_EQ(view.record.quality->dense_perplexity, std::exp(1.0));
  EXPECT_EQ(jobs.gates().installed(), std::vector<std::string>{facts.name});
}

}  // namespace
}  // namespace seer
