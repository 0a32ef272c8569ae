#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/errors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

const absl::Time kNow = TestTime();

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class JobsTest : public testing::Test {
 protected:
  explicit JobsTest(CatalogOptions options = {}) : catalog_(options) {
    dataset_ = catalog_.AddDataset("some text");
  }

  absl::StatusOr<CalibrationJob> TryCreate(RequestKey request = {},
                                           const std::string& model = "m") {
    CalibrationSpec spec;
    spec.model = model;
    spec.dataset_id = dataset_;
    spec.display_name = "nightly";
    spec.steps = 500;
    spec.learning_rate = 1e-3;
    return catalog_->CreateJob(spec, request, kNow);
  }
  std::string Create() { return TryCreate().value().id; }
  std::string CreateRunning() {
    return catalog_->StartJob(Create(), kNow).value().id;
  }
  absl::Status Save(const std::string& id, absl::string_view bytes, int step) {
    CalibrationProgress progress;
    progress.phase = "training";
    progress.step = step;
    return catalog_->SaveCheckpoint(id, progress, {bytes});
  }
  size_t NumFiles() {
    const std::filesystem::directory_iterator files(catalog_.blobs());
    return std::distance(begin(files), end(files));
  }

  TemporaryCatalog catalog_;
  std::string dataset_;
};

TEST_F(JobsTest, RunsToItsGateSet) {
  const std::string id = Create();
  CalibrationJob job = catalog_->StartJob(id, kNow + absl::Seconds(1)).value();
  EXPECT_EQ(job.state, JobState::kRunning);
  EXPECT_EQ(job.start_time, kNow + absl::Seconds(1));
  ASSERT_TRUE(Save(id, "checkpoint 1", 10).ok());
  ASSERT_TRUE(Save(id, "checkpoint 2", 20).ok());
  EXPECT_EQ(ReadFile(catalog_->CheckpointPath(id).value()), "checkpoint 2");
  EXPECT_EQ(NumFiles(), 2u);  // with the dataset's

  JobResult result;
  result.progress.step = 500;
  result.quality.layers = {{0.25, {{0.5, 0.51, 0.99, 0.995, 0.9}}}};
  const GateSetRecord gate_set =
      catalog_
          ->CompleteJob(id, result, FactsOfGateSet(), {"gate ", "file"}, kNow)
          .value();
  EXPECT_EQ(gate_set.id, "sha256-" + DigestOf("gate file").substr(0, 12));
  EXPECT_EQ(gate_set.source, "calibrationJobs/" + id);
  EXPECT_EQ(gate_set.display_name, "nightly");
  EXPECT_EQ(ReadFile(gate_set.path), "gate file");

  catalog_.Reopen();
  job = catalog_->GetJob(id).value();
  EXPECT_EQ(job.state, JobState::kSucceeded);
  EXPECT_EQ(job.gate_set_id, gate_set.id);
  EXPECT_EQ(job.progress.step, 500);
  EXPECT_EQ(job.quality->layers[0].recalls[0].mass_recall, 0.99);
  EXPECT_EQ(job.end_time, kNow);
  EXPECT_FALSE(job.has_checkpoint);
  EXPECT_EQ(job.spec.learning_rate, 1e-3);
  EXPECT_EQ(catalog_->GetGateSet(gate_set.id).value().quality->layers[0].loss,
            0.25);
  EXPECT_EQ(NumFiles(), 2u);
  EXPECT_EQ(catalog_->recovery().num_swept, 0);
}

TEST_F(JobsTest, GoesOnFromItsCheckpointAfterARestart) {
  const std::string queued = Create();
  const std::string running = CreateRunning();
  ASSERT_TRUE(Save(running, "state", 10).ok());
  catalog_.Reopen();
  const std::vector<CalibrationJob> jobs = catalog_->JobsToRun("m").value();
  ASSERT_THAT(jobs, SizeIs(2));
  EXPECT_EQ(jobs[0].id, running);
  EXPECT_EQ(jobs[0].progress.step, 10);
  EXPECT_EQ(jobs[1].id, queued);
  EXPECT_EQ(ReadFile(catalog_->CheckpointPath(running).value()), "state");
  EXPECT_EQ(catalog_->CheckpointPath(queued).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(JobsTest, AreThoseOfTheModelThatIsAskedFor) {
  const std::string id = Create();
  const std::string other = TryCreate({}, "n").value().id;
  const std::vector<CalibrationJob> jobs = catalog_->JobsToRun("n").value();
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].id, other);
  EXPECT_THAT(catalog_->Models().value(), ElementsAre("m", "n"));
  ASSERT_TRUE(catalog_->CancelJob(other, kNow).ok());
  EXPECT_THAT(catalog_->Models().value(), ElementsAre("m"));
  ASSERT_TRUE(catalog_->CancelJob(id, kNow).ok());
  catalog_.AddGateSet("gate");
  EXPECT_THAT(catalog_->Models().value(), ElementsAre("m"));
}

TEST_F(JobsTest, CountsAttemptsSinceTheLastCheckpoint) {
  const std::string id = CreateRunning();
  EXPECT_EQ(catalog_->StartJob(id, kNow).value().attempts, 2);
  ASSERT_TRUE(Save(id, "state", 1).ok());
  EXPECT_EQ(catalog_->StartJob(id, kNow).value().attempts, 1);
}

TEST_F(JobsTest, APauseAndAnOrderlyStopAreNoAttempt) {
  const std::string id = CreateRunning();
  EXPECT_EQ(catalog_->PauseJob(id).value().attempts, 0);
  ASSERT_TRUE(catalog_->ResumeJob(id).ok());
  EXPECT_EQ(ReasonTextOf(catalog_->LetGoOfJob(id).status()), "JOB_STATE");
  EXPECT_EQ(catalog_->StartJob(id, kNow).value().attempts, 1);
  for (int stop = 0; stop < 2; ++stop) {
    EXPECT_EQ(catalog_->LetGoOfJob(id).value().state, JobState::kRunning);
    EXPECT_EQ(catalog_->GetJob(id).value().attempts, 0);
  }
  EXPECT_THAT(catalog_->JobsToRun("m").value(), SizeIs(1));
}

TEST_F(JobsTest, StatesAllowWhatTheySay) {
  const std::string id = Create();
  EXPECT_EQ(catalog_->PauseJob(id).value().state, JobState::kPaused);
  EXPECT_EQ(catalog_->PauseJob(id).value().state, JobState::kPaused);
  EXPECT_EQ(ReasonTextOf(catalog_->StartJob(id, kNow).status()), "JOB_STATE");
  // The runner writes a checkpoint of a job that it was told to hold.
  EXPECT_TRUE(Save(id, "state", 1).ok());
  EXPECT_EQ(catalog_->ResumeJob(id).value().state, JobState::kQueued);
  EXPECT_EQ(catalog_->ResumeJob(id).value().state, JobState::kQueued);
  EXPECT_EQ(
      ReasonTextOf(catalog_->CompleteJob(id, {}, FactsOfGateSet(), {"g"}, kNow)
                       .status()),
      "JOB_STATE");
  EXPECT_EQ(catalog_->CancelJob(id, kNow).value().state, JobState::kCancelled);
  EXPECT_EQ(catalog_->CancelJob(id, kNow).value().state, JobState::kCancelled);
  EXPECT_EQ(NumFiles(), 1u);
  EXPECT_EQ(ReasonTextOf(Save(id, "late", 2)), "JOB_STATE");
  EXPECT_EQ(ReasonTextOf(catalog_->ResumeJob(id).status()), "JOB_STATE");
  EXPECT_EQ(ReasonTextOf(catalog_->FailJob(id, {"X", ""}, kNow).status()),
            "JOB_STATE");
  EXPECT_EQ(NumFiles(), 1u);
}

TEST_F(JobsTest, FailsWithItsReason) {
  const std::string id = CreateRunning();
  ASSERT_TRUE(
      catalog_->FailJob(id, {"DIVERGED", "layer 3 at step 7"}, kNow).ok());
  catalog_.Reopen();
  const CalibrationJob job = catalog_->GetJob(id).value();
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(job.failure->reason, "DIVERGED");
  EXPECT_EQ(job.failure->message, "layer 3 at step 7");
}

TEST_F(JobsTest, KeepsHowFarItCame) {
  CalibrationProgress progress;
  progress.step = 17;
  for (const bool is_told : {true, false}) {
    const int step = is_told ? 17 : 10;
    const auto told = is_told ? std::make_optional(progress) : std::nullopt;
    const std::string failed = CreateRunning();
    ASSERT_TRUE(Save(failed, "state", 10).ok());
    catalog_->FailJob(failed, {"DIVERGED", ""}, kNow, told).value();
    EXPECT_EQ(catalog_->GetJob(failed).value().progress.step, step);
    const std::string cancelled = CreateRunning();
    ASSERT_TRUE(Save(cancelled, "state", 10).ok());
    catalog_->CancelJob(cancelled, kNow, told).value();
    EXPECT_EQ(catalog_->GetJob(cancelled).value().progress.step, step);
  }
}

TEST_F(JobsTest, ADamagedCheckpointIsNotServed) {
  const std::string id = CreateRunning();
  ASSERT_TRUE(Save(id, "state", 1).ok());
  const std::string path = catalog_->CheckpointPath(id).value();
  catalog_.Close();
  std::ofstream(path, std::ios::binary) << "stale";
  catalog_.Reopen();
  EXPECT_EQ(ReasonTextOf(catalog_->CheckpointPath(id).status()),
            "CHECKPOINT_DAMAGED");
  catalog_.Close();
  std::filesystem::remove(path);
  catalog_.Reopen();
  EXPECT_EQ(catalog_->recovery().damaged.count("calibrationJobs/" + id), 1u);
  EXPECT_EQ(ReasonTextOf(catalog_->CheckpointPath(id).status()),
            "CHECKPOINT_DAMAGED");
}

TEST_F(JobsTest, ARequestIdMakesOneJob) {
  const std::string id = TryCreate({"r", "digest"}).value().id;
  EXPECT_EQ(TryCreate({"r", "digest"}).value().id, id);
  catalog_.Reopen();
  EXPECT_EQ(TryCreate({"r", "digest"}).value().id, id);
  EXPECT_EQ(FieldOf(TryCreate({"r", "another"}).status()), "request_id");
  EXPECT_NE(Create(), Create());
}

TEST_F(JobsTest, AreFoundByTheirRequestAndCountedByTheirState) {
  EXPECT_FALSE(catalog_->FindJob({"r1", "d1"}).value().has_value());
  const std::string id = TryCreate({"r1", "d1"}).value().id;
  EXPECT_EQ(catalog_->FindJob({"r1", "d1"}).value()->id, id);
  EXPECT_EQ(FieldOf(catalog_->FindJob({"r1", "d2"}).status()), "request_id");
  Create();
  CreateRunning();
  EXPECT_EQ(catalog_->CountJobs().value(),
            (std::map<JobState, int64_t>{{JobState::kQueued, 2},
                                         {JobState::kRunning, 1}}));
}

TEST_F(JobsTest, HoldTheirDataset) {
  const std::string id = Create();
  EXPECT_EQ(ReasonTextOf(catalog_->DeleteDataset(dataset_)), "IN_USE");
  ASSERT_TRUE(catalog_->CancelJob(id, kNow).ok());
  EXPECT_TRUE(catalog_->DeleteDataset(dataset_).ok());
  EXPECT_EQ(NumFiles(), 0u);
  EXPECT_EQ(TryCreate().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(JobsTest, NeedAWholeDataset) {
  const std::string path = catalog_->GetDataset(dataset_).value().path;
  catalog_.Close();
  std::filesystem::remove(path);
  catalog_.Reopen();
  EXPECT_EQ(catalog_->GetDataset(dataset_).value().damage->reason, "MISSING");
  EXPECT_EQ(ReasonTextOf(TryCreate().status()), "DAMAGED");
  EXPECT_TRUE(catalog_->DeleteDataset(dataset_).ok());
}

TEST_F(JobsTest, TokensAreCountedLater) {
  EXPECT_FALSE(
      catalog_->GetDataset(dataset_).value().facts.num_tokens.has_value());
  ASSERT_TRUE(catalog_->SetDatasetTokens(dataset_, 12).ok());
  EXPECT_EQ(catalog_->GetDataset(dataset_).value().facts.num_tokens, 12);
  EXPECT_EQ(catalog_->SetDatasetTokens("other", 1).code(),
            absl::StatusCode::kNotFound);
}

CatalogOptions FewJobs() {
  CatalogOptions options;
  options.max_unfinished_jobs = 2;
  options.max_ended_jobs = 1;
  return options;
}

class FewJobsTest : public JobsTest {
 protected:
  FewJobsTest() : JobsTest(FewJobs()) {}
};

TEST_F(FewJobsTest, AreAQuotaAndAMemory) {
  const std::string first = Create();
  const std::string second = Create();
  EXPECT_EQ(ReasonTextOf(TryCreate().status()), "QUOTA_JOBS");
  ASSERT_TRUE(catalog_->CancelJob(first, kNow).ok());
  ASSERT_TRUE(catalog_->CancelJob(second, kNow + absl::Seconds(1)).ok());
  Create();
  EXPECT_EQ(catalog_->GetJob(first).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(catalog_->GetJob(second).ok());
}

}  // namespace
}  // namespace seer
