// A GateAdminService that answers as a test says, over TCP on the loopback
// interface.
#ifndef SEER_CLIENT_TESTING_SCRIPTED_ADMIN_SERVER_H_
#define SEER_CLIENT_TESTING_SCRIPTED_ADMIN_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "grpcpp/server.h"
#include "grpcpp/server_context.h"
#include "proto/seer/v1/gate_admin.grpc.pb.h"

namespace seer {

// Set the members before the first call; they run on the server's threads,
// possibly several at once. Unset ones answer UNIMPLEMENTED.
struct AdminScript {
  template <typename Request, typename Response>
  using Unary = std::function<grpc::Status(const Request&, Response*)>;

  // Before every call; an error ends it. Unset: all are let in.
  std::function<grpc::Status(const grpc::ServerContext&)> admit;

  Unary<v1::CreateUploadRequest, v1::Upload> create_upload;
  std::function<grpc::Status(grpc::ServerReader<v1::WriteUploadRequest>&,
                             v1::Upload*)>
      write_upload;
  Unary<v1::GetUploadRequest, v1::Upload> get_upload;
  Unary<v1::FinalizeUploadRequest, v1::FinalizeUploadResponse> finalize_upload;
  Unary<v1::GetDatasetRequest, v1::Dataset> get_dataset;
  Unary<v1::ListDatasetsRequest, v1::ListDatasetsResponse> list_datasets;
  Unary<v1::DeleteDatasetRequest, google::protobuf::Empty> delete_dataset;
  Unary<v1::CreateCalibrationJobRequest, v1::CalibrationJob> create_job;
  std::function<grpc::Status(grpc::ServerContext&,
                             const v1::WatchCalibrationJobRequest&,
                             grpc::ServerWriter<v1::CalibrationJob>&)>
      watch_job;
  Unary<v1::PauseCalibrationJobRequest, v1::CalibrationJob> pause_job;
  Unary<v1::ListCalibrationJobsRequest, v1::ListCalibrationJobsResponse>
      list_jobs;
  Unary<v1::GetGateSetRequest, v1::GateSet> get_gate_set;
  Unary<v1::ListGateSetsRequest, v1::ListGateSetsResponse> list_gate_sets;
  Unary<v1::ValidateGateSetRequest, v1::ValidateGateSetResponse>
      validate_gate_set;
  std::function<grpc::Status(const v1::DownloadGateSetRequest&,
                             grpc::ServerWriter<v1::DownloadGateSetResponse>&)>
      download_gate_set;
  Unary<v1::GetGateRolloutRequest, v1::GateRollout> get_rollout;
  Unary<v1::UpdateGateRolloutRequest, v1::GateRollout> update_rollout;
  Unary<v1::RollbackGateRolloutRequest, v1::GateRollout> roll_back;
  Unary<v1::ListGateRolloutRevisionsRequest,
        v1::ListGateRolloutRevisionsResponse>
      list_revisions;
};

class ScriptedAdminServer {
 public:
  // On any free port of 127.0.0.1.
  explicit ScriptedAdminServer(AdminScript script);
  // Ends running calls and waits for them.
  ~ScriptedAdminServer();

  // 127.0.0.1:port
  const std::string& address() const { return address_; }

 private:
  class Service;

  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace seer

#endif  // SEER_CLIENT_TESTING_SCRIPTED_ADMIN_SERVER_H_
