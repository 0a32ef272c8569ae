#include "server/calibration_jobs/rpc/calibration_job_rpcs.h"

#include <cstdint>
#include <random>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/wire_fields.h"
#include "server/calibration_jobs/rpc/job_codec.h"
#include "server/calibration_jobs/rpc/watch_job_call.h"

namespace seer {
namespace {

uint64_t DrawSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

absl::StatusOr<v1::CalibrationJob> Encoded(const absl::StatusOr<JobView>& job) {
  if (!job.ok()) return job.status();
  return EncodeJob(*job);
}

// The id of the job that `request` names.
template <typename Request>
absl::StatusOr<std::string> IdOf(const Request& request, AdminCall& call) {
  call.SetResource(request.name());
  return ParseCalibrationJobName(request.name(), "name");
}

}  // namespace

absl::StatusOr<v1::CalibrationJob> CalibrationJobRpcs::CreateCalibrationJob(
    const v1::CreateCalibrationJobRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const NewJob job,
                        DecodeNewJob(request, *model_, DrawSeed()));
  if (job.validate_only) {
    SEER_RETURN_IF_ERROR(jobs_->CheckDataset(job.spec));
    JobView view;
    view.record.spec = job.spec;
    return EncodeJob(view);
  }
  SEER_ASSIGN_OR_RETURN(const JobView view,
                        jobs_->Create(job.spec, job.request));
  call.SetResource(CalibrationJobName(view.record.id));
  return EncodeJob(view);
}

absl::StatusOr<v1::CalibrationJob> CalibrationJobRpcs::GetCalibrationJob(
    const v1::GetCalibrationJobRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const std::string id, IdOf(request, call));
  return Encoded(jobs_->Get(id));
}

absl::StatusOr<v1::ListCalibrationJobsResponse>
CalibrationJobRpcs::ListCalibrationJobs(
    const v1::ListCalibrationJobsRequest& request, AdminCall&) {
  SEER_ASSIGN_OR_RETURN(const PageRequest page,
                        DecodePage(request.page_size(), request.page_token()));
  SEER_ASSIGN_OR_RETURN(const Page<JobView> jobs, jobs_->List(page));
  v1::ListCalibrationJobsResponse response;
  response.set_next_page_token(jobs.next_token);
  for (const JobView& job : jobs.items) {
    *response.add_calibration_jobs() = EncodeJob(job);
  }
  return response;
}

absl::StatusOr<v1::CalibrationJob> CalibrationJobRpcs::ResumeCalibrationJob(
    const v1::ResumeCalibrationJobRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const std::string id, IdOf(request, call));
  return Encoded(jobs_->Resume(id));
}

absl::StatusOr<v1::CalibrationJob> CalibrationJobRpcs::CancelCalibrationJob(
    const v1::CancelCalibrationJobRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const std::string id, IdOf(request, call));
  return Encoded(jobs_->Cancel(id));
}

void CalibrationJobRpcs::PauseCalibrationJob(
    const v1::PauseCalibrationJobRequest& request, AdminCall& call,
    Reply reply) {
  const absl::StatusOr<std::string> id = IdOf(request, call);
  if (!id.ok()) return reply(id.status());
  jobs_->Pause(*id, [reply = std::move(reply)](absl::StatusOr<JobView> job) {
    reply(Encoded(job));
  });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>*
CalibrationJobRpcs::WatchCalibrationJob(const AdminCallParts& parts,
                                        grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer& request) {
  auto* call = new WatchJobCall(parts, &jobs_->watches(), context, request);
  call->Begin();
  return call;
}

}  // namespace seer
