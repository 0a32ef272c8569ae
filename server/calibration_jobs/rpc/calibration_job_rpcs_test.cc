#include "server/calibration_jobs/rpc/calibration_job_rpcs.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "proto/seer/v1/gate_admin.grpc.pb.h"
#include "server/admin/gate_admin_service.h"
#include "server/admin/rollout/rollout_control.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/admin_metrics.h"
#include "tests/testing/server/status_details.h"
#include "tests/testing/server/temporary_jobs.h"

namespace seer {
namespace {

// The whole service over a real connection, and engines that pretend.
class CalibrationJobRpcsTest : public testing::Test {
 protected:
  CalibrationJobRpcsTest()
      : metrics_("fake"),
        rollouts_(&*jobs_.catalog(), &jobs_.gates(), &metrics_, "fake", ""),
        rpcs_(&*jobs_, &jobs_.engine().model()) {
    GateAdminService::Parts parts;
    parts.catalog = &*jobs_.catalog();
    parts.gates = &jobs_.gates();
    parts.rollouts = &rollouts_;
    parts.jobs = &rpcs_;
    parts.metrics = &metrics_;
    parts.model = "fake";
    parts.vocab_size = jobs_.engine().model().vocab_size;
    service_ =
        std::make_unique<GateAdminService>(parts, GateAdminService::Options());
    server_ =
        GrpcServer::Start(GrpcServer::Options(), {service_.get()}).value();
    stub_ = v1::GateAdminService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()),
                            grpc::InsecureChannelCredentials()));
  }

  v1::CreateCalibrationJobRequest Request() {
    v1::CreateCalibrationJobRequest request;
    v1::CalibrationJob& job = *request.mutable_calibration_job();
    job.set_dataset("datasets/" + jobs_.Spec().dataset_id);
    job.set_steps(6);
    job.set_sequence_length(128);
    return request;
  }
  template <typename Answer, typename Request, typename Method>
  grpc::Status Call(Method method, const Request& request, Answer* answer) {
    grpc::ClientContext context;
    return ((*stub_).*method)(&context, request, answer);
  }
  v1::CalibrationJob Create() {
    v1::CalibrationJob job;
    const grpc::Status status = Call(
        &v1::GateAdminService::Stub::CreateCalibrationJob, Request(), &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }
  std::unique_ptr<grpc::ClientReader<v1::CalibrationJob>> Watch(
      grpc::ClientContext* context, const std::string& name) {
    v1::WatchCalibrationJobRequest request;
    request.set_name(name);
    request.mutable_min_interval()->set_nanos(100'000'000);
    return stub_->WatchCalibrationJob(context, request);
  }
  static std::string IdOf(const std::string& name) {
    return name.substr(std::string("calibrationJobs/").size());
  }

  using Stub = v1::GateAdminService::Stub;

  TemporaryJobs jobs_;
  AdminMetrics metrics_;
  RolloutControl rollouts_;
  CalibrationJobRpcs rpcs_;
  std::unique_ptr<GateAdminService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(CalibrationJobRpcsTest, AnswersForAJobsLife) {
  jobs_.calibrator().AllowTicks(3);
  v1::CreateCalibrationJobRequest request = Request();
  request.set_validate_only(true);
  v1::CalibrationJob job;
  ASSERT_TRUE(Call(&Stub::CreateCalibrationJob, request, &job).ok());
  EXPECT_EQ(job.name(), "");
  EXPECT_TRUE(job.has_seed());
  request.set_validate_only(false);
  request.set_request_id("once");
  ASSERT_TRUE(Call(&Stub::CreateCalibrationJob, request, &job).ok());
  v1::CalibrationJob again;
  ASSERT_TRUE(Call(&Stub::CreateCalibrationJob, request, &again).ok());
  EXPECT_EQ(again.name(), job.name());
  EXPECT_EQ(again.seed(), job.seed());
  v1::ListCalibrationJobsResponse list;
  ASSERT_TRUE(
      Call(&Stub::ListCalibrationJobs, v1::ListCalibrationJobsRequest(), &list)
          .ok());
  ASSERT_EQ(list.calibration_jobs_size(), 1);

  v1::PauseCalibrationJobRequest pause;
  pause.set_name(job.name());
  ASSERT_TRUE(jobs_.calibrator().WaitForTicks(3));
  ASSERT_TRUE(Call(&Stub::PauseCalibrationJob, pause, &job).ok());
  EXPECT_EQ(job.state(), v1::CALIBRATION_JOB_STATE_PAUSED);
  EXPECT_EQ(job.progress().checkpoint_step(), 3);
  v1::ResumeCalibrationJobRequest resume;
  resume.set_name(job.name());
  ASSERT_TRUE(Call(&Stub::ResumeCalibrationJob, resume, &job).ok());
  jobs_.calibrator().AllowTicks(INT64_MAX);
  jobs_.WaitForState(IdOf(job.name()), JobState::kSucceeded);
  v1::GetCalibrationJobRequest get;
  get.set_name(job.name());
  ASSERT_TRUE(Call(&Stub::GetCalibrationJob, get, &job).ok());
  EXPECT_EQ(job.state(), v1::CALIBRATION_JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.quality().perplexities_size(), 3);
  v1::GetGateSetRequest get_gate_set;
  get_gate_set.set_name(job.gate_set());
  v1::GateSet gate_set;
  ASSERT_TRUE(Call(&Stub::GetGateSet, get_gate_set, &gate_set).ok());
  EXPECT_EQ(gate_set.source(), job.name());
}

TEST_F(CalibrationJobRpcsTest, ErrorsHaveTheirDetails) {
  v1::CreateCalibrationJobRequest request = Request();
  request.mutable_calibration_job()->set_dataset("datasets/nowhere");
  v1::CalibrationJob job;
  grpc::Status status = Call(&Stub::CreateCalibrationJob, request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailOf<google::rpc::ResourceInfo>(status).value().resource_name(),
            "datasets/nowhere");
  request = Request();
  request.mutable_calibration_job()->set_steps(0);
  status = Call(&Stub::CreateCalibrationJob, request, &job);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status)
                .value()
                .field_violations(0)
                .field(),
            "calibration_job.steps");
  v1::CancelCalibrationJobRequest cancel;
  cancel.set_name(Create().name());
  jobs_.WaitForState(IdOf(cancel.name()), JobState::kSucceeded);
  status = Call(&Stub::CancelCalibrationJob, cancel, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).value().reason(),
            "JOB_STATE");
}

TEST_F(CalibrationJobRpcsTest, AWatchShowsNewsAndTheEndAtOnce) {
  jobs_.calibrator().AllowTicks(1);
  const v1::CalibrationJob job = Create();
  grpc::ClientContext context;
  const auto reader = Watch(&context, job.name());
  v1::CalibrationJob frame;
  std::vector<absl::Time> times;
  do {
    ASSERT_TRUE(reader->Read(&frame));
  } while (frame.progress().step() < 1);
  // No news, no frame: of those to come all have news.
  const std::string before = frame.SerializeAsString();
  for (int64_t step = 2; step <= 4; ++step) {
    jobs_.calibrator().AllowTicks(step);
    do {
      ASSERT_TRUE(reader->Read(&frame));
      EXPECT_NE(frame.SerializeAsString(), before);
    } while (frame.progress().step() < step);
  }
  jobs_.calibrator().AllowTicks(INT64_MAX);
  while (reader->Read(&frame)) {
  }
  EXPECT_EQ(frame.state(), v1::CALIBRATION_JOB_STATE_SUCCEEDED);
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(CalibrationJobRpcsTest, WatchesTakeNoOtherCallsPlace) {
  jobs_.calibrator().AllowTicks(1);
  v1::CalibrationJob job = Create();
  // As many as may be.
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::CalibrationJob>>> watches;
  for (int i = 0; i < GateAdminService::Options().max_calls; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    watches.push_back(Watch(contexts.back().get(), job.name()));
    v1::CalibrationJob frame;
    ASSERT_TRUE(watches.back()->Read(&frame));
  }
  grpc::ClientContext context;
  EXPECT_EQ(
      DetailOf<google::rpc::ErrorInfo>(Watch(&context, job.name())->Finish())
          ->reason(),
      "ADMIN_BUSY");
  v1::GetCalibrationJobRequest get;
  get.set_name(job.name());
  EXPECT_TRUE(Call(&Stub::GetCalibrationJob, get, &job).ok());
  v1::CancelCalibrationJobRequest cancel;
  cancel.set_name(job.name());
  EXPECT_TRUE(Call(&Stub::CancelCalibrationJob, cancel, &job).ok());
  for (size_t i = 0; i < watches.size(); ++i) {
    contexts[i]->TryCancel();
    watches[i]->Finish();
  }
}

TEST_F(CalibrationJobRpcsTest, AWatchEndsWithItsClientOrTheServer) {
  jobs_.calibrator().AllowTicks(1);
  const v1::CalibrationJob job = Create();
  grpc::ClientContext unknown;
  EXPECT_EQ(Watch(&unknown, "calibrationJobs/nowhere")->Finish().error_code(),
            grpc::StatusCode::NOT_FOUND);
  grpc::ClientContext misnamed;
  EXPECT_EQ(Watch(&misnamed, "jobs/x")->Finish().error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  v1::CalibrationJob frame;
  grpc::ClientContext cancelled;
  const auto left = Watch(&cancelled, job.name());
  ASSERT_TRUE(left->Read(&frame));
  cancelled.TryCancel();
  EXPECT_EQ(left->Finish().error_code(), grpc::StatusCode::CANCELLED);
  grpc::ClientContext context;
  const auto reader = Watch(&context, job.name());
  ASSERT_TRUE(reader->Read(&frame));
  jobs_->Stop(absl::Now());
  while (reader->Read(&frame)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace seer
