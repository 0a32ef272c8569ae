#ifndef SEER_SERVER_CALIBRATION_JOBS_RPC_CALIBRATION_JOB_RPCS_H_
#define SEER_SERVER_CALIBRATION_JOBS_RPC_CALIBRATION_JOB_RPCS_H_

#include "engine/engine.h"
#include "server/admin/calibration_job_methods.h"
#include "server/calibration_jobs/calibration_jobs.h"

namespace seer {

// The calibration jobs' part of GateAdminService, over CalibrationJobs.
class CalibrationJobRpcs final : public CalibrationJobMethods {
 public:
  // Both are borrowed.
  CalibrationJobRpcs(CalibrationJobs* jobs, const ModelInfo* model)
      : jobs_(jobs), model_(model) {}

  absl::StatusOr<v1::CalibrationJob> CreateCalibrationJob(
      const v1::CreateCalibrationJobRequest& request, AdminCall& call) override;
  absl::StatusOr<v1::CalibrationJob> GetCalibrationJob(
      const v1::GetCalibrationJobRequest& request, AdminCall& call) override;
  absl::StatusOr<v1::ListCalibrationJobsResponse> ListCalibrationJobs(
      const v1::ListCalibrationJobsRequest& request, AdminCall& call) override;
  absl::StatusOr<v1::CalibrationJob> ResumeCalibrationJob(
      const v1::ResumeCalibrationJobRequest& request, AdminCall& call) override;
  absl::StatusOr<v1::CalibrationJob> CancelCalibrationJob(
      const v1::CancelCalibrationJobRequest& request, AdminCall& call) override;
  void PauseCalibrationJob(const v1::PauseCalibrationJobRequest& request,
                           AdminCall& call, Reply reply) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchCalibrationJob(
      const AdminCallParts& parts, grpc::CallbackServerContext* context,
      const grpc::ByteBuffer& request) override;

 private:
  CalibrationJobs* const jobs_;
  const ModelInfo* const model_;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RPC_CALIBRATION_JOB_RPCS_H_
