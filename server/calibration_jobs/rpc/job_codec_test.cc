#include "server/calibration_jobs/rpc/job_codec.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/errors.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {
namespace {

v1::CreateCalibrationJobRequest Minimal() {
  v1::CreateCalibrationJobRequest request;
  request.mutable_calibration_job()->set_dataset("datasets/d1");
  return request;
}

absl::StatusOr<NewJob> Decode(const v1::CreateCalibrationJobRequest& request) {
  return DecodeNewJob(request, FakeModelInfo(), /*drawn_seed=*/99);
}

TEST(JobCodecTest, FillsInDefaults) {
  const NewJob job = Decode(Minimal()).value();
  EXPECT_EQ(job.spec.model, "fake");
  EXPECT_EQ(job.spec.dataset_id, "d1");
  EXPECT_EQ(job.spec.design, "Qavg_Kmaxminavg");
  EXPECT_EQ(job.spec.target, "max");
  EXPECT_EQ(job.spec.loss, "kl");
  EXPECT_EQ(job.spec.steps, 500);
  EXPECT_EQ(job.spec.warmup_steps, 20);
  EXPECT_EQ(job.spec.tokens_per_step, 65536);
  EXPECT_EQ(job.spec.sequence_len, 4096);  // the context
  EXPECT_EQ(job.spec.learning_rate, 0.001);
  EXPECT_EQ(job.spec.seed, 99u);
  EXPECT_EQ(job.spec.device_share, 0.2);
  EXPECT_EQ(job.spec.validation_fraction, 0.1);
  EXPECT_FALSE(job.validate_only);

  v1::CreateCalibrationJobRequest few = Minimal();
  few.mutable_calibration_job()->set_steps(7);
  EXPECT_EQ(Decode(few).value().spec.warmup_steps, 7);
}

TEST(JobCodecTest, WhatIsAskedForComesBack) {
  v1::CreateCalibrationJobRequest request = Minimal();
  v1::CalibrationJob& job = *request.mutable_calibration_job();
  job.set_display_name("nightly");
  job.set_model("models/fake");
  job.set_design("Qmaxavg_Kmin");
  job.set_target(v1::CALIBRATION_TARGET_MASS);
  job.set_loss(v1::CALIBRATION_LOSS_KL);
  job.set_steps(9);
  job.set_warmup_steps(0);
  job.set_tokens_per_step(300);
  job.set_sequence_length(128);
  job.set_learning_rate(1);
  job.set_seed(std::numeric_limits<uint64_t>::max());
  job.set_device_share(1);
  job.set_validation_fraction(0.5);
  JobView view;
  view.record.spec = Decode(request).value().spec;
  job.set_state(v1::CALIBRATION_JOB_STATE_QUEUED);
  EXPECT_EQ(EncodeJob(view).SerializeAsString(), job.SerializeAsString());

  request = Minimal();
  request.mutable_calibration_job()->set_target(
      v1::CALIBRATION_TARGET_ROOT_MASS);
  view.record.spec = Decode(request).value().spec;
  EXPECT_EQ(view.record.spec.target, "root_mass");
  EXPECT_EQ(EncodeJob(view).target(), v1::CALIBRATION_TARGET_ROOT_MASS);
}

TEST(JobCodecTest, NamesTheFieldThatIsWrong) {
  using Change = std::function<void(v1::CalibrationJob&)>;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<std::string, Change>> cases = {
      {"name", [](auto& job) { job.set_name("calibrationJobs/x"); }},
      {"state",
       [](auto& job) { job.set_state(v1::CALIBRATION_JOB_STATE_QUEUED); }},
      {"progress", [](auto& job) { job.mutable_progress(); }},
      {"end_time", [](auto& job) { job.mutable_end_time(); }},
      {"display_name",
       [](auto& job) { job.set_display_name(std::string(129, 'x')); }},
      {"display_name", [](auto& job) { job.set_display_name("a\nb"); }},
      {"model", [](auto& job) { job.set_model("fake"); }},
      {"dataset", [](auto& job) { job.clear_dataset(); }},
      {"dataset", [](auto& job) { job.set_dataset("datasets/../etc"); }},
      {"design", [](auto& job) { job.set_design("Qavg"); }},
      {"design", [](auto& job) { job.set_design("Qavg_K"); }},
      {"design", [](auto& job) { job.set_design("Qavgmax_Kmin"); }},
      {"design", [](auto& job) { job.set_design("mean_pools"); }},
      {"steps",
       [](auto& job) {
         job.set_design("mean_pool");
         job.set_steps(1);
       }},
      {"warmup_steps",
       [](auto& job) {
         job.set_design("mean_pool");
         job.set_warmup_steps(1);
       }},
      {"target",
       [](auto& job) {
         job.set_target(static_cast<v1::CalibrationTarget>(9));
       }},
      {"loss",
       [](auto& job) { job.set_loss(static_cast<v1::CalibrationLoss>(9)); }},
      {"loss",
       [](auto& job) {
         job.set_target(v1::CALIBRATION_TARGET_MASS);
         job.set_loss(v1::CALIBRATION_LOSS_MSE);
       }},
      {"loss",
       [](auto& job) {
         job.set_target(v1::CALIBRATION_TARGET_ROOT_MASS);
         job.set_loss(v1::CALIBRATION_LOSS_KL_REFERENCE);
       }},
      {"steps", [](auto& job) { job.set_steps(0); }},
      {"steps", [](auto& job) { job.set_steps(1000001); }},
      {"warmup_steps", [](auto& job) { job.set_warmup_steps(501); }},
      {"warmup_steps", [](auto& job) { job.set_warmup_steps(-1); }},
      {"sequence_length", [](auto& job) { job.set_sequence_length(127); }},
      {"sequence_length", [](auto& job) { job.set_sequence_length(4097); }},
      {"tokens_per_step", [](auto& job) { job.set_tokens_per_step(4095); }},
      {"tokens_per_step", [](auto& job) { job.set_tokens_per_step(16777217); }},
      {"learning_rate", [&](auto& job) { job.set_learning_rate(nan); }},
      {"learning_rate", [](auto& job) { job.set_learning_rate(0); }},
      {"learning_rate", [](auto& job) { job.set_learning_rate(1.001); }},
      {"device_share", [&](auto& job) { job.set_device_share(nan); }},
      {"device_share", [](auto& job) { job.set_device_share(0); }},
      {"validation_fraction",
       [](auto& job) { job.set_validation_fraction(0.51); }},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(absl::StrCat(i, " ", cases[i].first));
    v1::CreateCalibrationJobRequest request = Minimal();
    cases[i].second(*request.mutable_calibration_job());
    const absl::Status status = Decode(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(status), "calibration_job." + cases[i].first);
  }
  v1::CreateCalibrationJobRequest request = Minimal();
  request.set_request_id("with space");
  EXPECT_EQ(FieldOf(Decode(request).status()), "request_id");
  request = Minimal();
  request.mutable_calibration_job()->set_model("models/other");
  EXPECT_EQ(Decode(request).status().code(), absl::StatusCode::kNotFound);
  v1::WatchCalibrationJobRequest watch;
  EXPECT_EQ(DecodeMinInterval(watch).value(), absl::Seconds(1));
  watch.mutable_min_interval()->set_nanos(99'999'999);
  EXPECT_EQ(FieldOf(DecodeMinInterval(watch).status()), "min_interval");
}

TEST(JobCodecTest, WithoutWeightsThereIsNothingToTrain) {
  v1::CreateCalibrationJobRequest request = Minimal();
  v1::CalibrationJob& job = *request.mutable_calibration_job();
  job.set_design("mean_pool");
  const CalibrationSpec spec = Decode(request).value().spec;
  EXPECT_EQ(spec.design, "mean_pool");
  EXPECT_EQ(spec.steps, 0);
  EXPECT_EQ(spec.warmup_steps, 0);
  EXPECT_EQ(spec.target, "max");
  JobView view;
  view.record.spec = spec;
  EXPECT_TRUE(EncodeJob(view).has_steps());

  job.set_design("oracle_mass");
  const absl::Status refused = Decode(request).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(ReasonOf(refused).has_value());
  EXPECT_EQ(ReasonOf(refused)->reason, "ORACLE_NOT_ALLOWED");
  ModelInfo model = FakeModelInfo();
  model.allow_oracle_gates = true;
  const auto allowed = DecodeNewJob(request, model, 99);
  ASSERT_TRUE(allowed.ok()) << allowed.status();
  EXPECT_EQ(allowed->spec.target, "mass");
  job.set_target(v1::CALIBRATION_TARGET_MAX);
  EXPECT_EQ(FieldOf(DecodeNewJob(request, model, 99).status()),
            "calibration_job.target");
}

// What a repeated call is known by is what was asked for, not what came of it.
TEST(JobCodecTest, TheDigestIsOfWhatWasAsked) {
  v1::CreateCalibrationJobRequest request = Minimal();
  request.set_request_id("r1");
  const RequestKey key = Decode(request).value().request;
  EXPECT_EQ(key.id, "r1");
  EXPECT_EQ(DecodeNewJob(request, FakeModelInfo(), 100).value().request.digest,
            key.digest);
  request.mutable_calibration_job()->set_steps(500);
  EXPECT_NE(Decode(request).value().request.digest, key.digest);
}

TEST(JobCodecTest, ProgressIsThatOfTheRunOrOfItsCheckpoint) {
  JobView view;
  CalibrationJob& record = view.record;
  record.id = "j1";
  record.spec = Decode(Minimal()).value().spec;
  EXPECT_FALSE(EncodeJob(view).has_progress());  // has not run
  record.state = JobState::kRunning;
  record.start_time = absl::FromUnixSeconds(5);
  record.has_checkpoint = true;
  record.progress = {"training", 40, 500, {0.5, 0.25}, {}};
  v1::CalibrationProgress progress = EncodeJob(view).progress();
  EXPECT_EQ(progress.phase(), v1::CALIBRATION_PHASE_TRAINING);
  EXPECT_EQ(progress.step(), 40);
  EXPECT_EQ(progress.checkpoint_step(), 40);
  EXPECT_EQ(progress.layer_losses_size(), 2);
  EXPECT_FALSE(progress.has_eta());
  view.live.emplace();
  view.live->progress = {"profiling", 500, 500, {0.125, 0.25}, {0.5, 0.5}};
  view.live->tokens_per_second = 1000;
  view.live->time_left = absl::Milliseconds(1500);
  progress = EncodeJob(view).progress();
  EXPECT_EQ(progress.phase(), v1::CALIBRATION_PHASE_PROFILING);
  EXPECT_EQ(progress.step(), 500);
  EXPECT_EQ(progress.checkpoint_step(), 40);
  EXPECT_EQ(progress.layer_losses(0), 0.125);
  EXPECT_EQ(progress.layer_validation_losses_size(), 2);
  EXPECT_EQ(progress.tokens_per_second(), 1000);
  EXPECT_EQ(progress.eta().seconds(), 1);
  EXPECT_EQ(progress.eta().nanos(), 500'000'000);
}

}  // namespace
}  // namespace seer
