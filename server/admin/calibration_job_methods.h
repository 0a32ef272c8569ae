#ifndef SEER_SERVER_ADMIN_CALIBRATION_JOB_METHODS_H_
#define SEER_SERVER_ADMIN_CALIBRATION_JOB_METHODS_H_

#include <functional>

#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/admin/call/admin_call.h"

namespace seer {

// GateAdminService's methods of calibration jobs, for whoever runs them; their
// contract is gate_admin.proto. Errors may have bare ids: the call gives them
// the resource's name. Thread-safe. Called on a worker, which may block on the
// disk, but for WatchCalibrationJob.
class CalibrationJobMethods {
 public:
  virtual ~CalibrationJobMethods() = default;

  virtual absl::StatusOr<v1::CalibrationJob> CreateCalibrationJob(
      const v1::CreateCalibrationJobRequest& request, AdminCall& call) = 0;
  virtual absl::StatusOr<v1::CalibrationJob> GetCalibrationJob(
      const v1::GetCalibrationJobRequest& request, AdminCall& call) = 0;
  virtual absl::StatusOr<v1::ListCalibrationJobsResponse> ListCalibrationJobs(
      const v1::ListCalibrationJobsRequest& request, AdminCall& call) = 0;
  virtual absl::StatusOr<v1::CalibrationJob> ResumeCalibrationJob(
      const v1::ResumeCalibrationJobRequest& request, AdminCall& call) = 0;
  virtual absl::StatusOr<v1::CalibrationJob> CancelCalibrationJob(
      const v1::CancelCalibrationJobRequest& request, AdminCall& call) = 0;

  // Replies once, from any thread; after that `call` may be gone.
  using Reply = std::function<void(absl::StatusOr<v1::CalibrationJob>)>;
  virtual void PauseCalibrationJob(
      const v1::PauseCalibrationJobRequest& request, AdminCall& call,
      Reply reply) = 0;

  // A reactor that deletes itself, an AdminCall too: see
  // download_gate_set_call.h. `parts` is the service's. Called on a gRPC
  // thread: must not block.
  virtual grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchCalibrationJob(
      const AdminCallParts& parts, grpc::CallbackServerContext* context,
      const grpc::ByteBuffer& request) = 0;
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_CALIBRATION_JOB_METHODS_H_
