#include "client/testing/scripted_admin_server.h"

#include <chrono>
#include <utility>

#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace seer {

class ScriptedAdminServer::Service final
    : public v1::GateAdminService::Service {
 public:
  explicit Service(AdminScript script) : script_(std::move(script)) {}

  grpc::Status CreateUpload(grpc::ServerContext* context,
                            const v1::CreateUploadRequest* request,
                            v1::Upload* response) override {
    return Answer(*context, script_.create_upload, *request, response);
  }
  grpc::Status GetUpload(grpc::ServerContext* context,
                         const v1::GetUploadRequest* request,
                         v1::Upload* response) override {
    return Answer(*context, script_.get_upload, *request, response);
  }
  grpc::Status FinalizeUpload(grpc::ServerContext* context,
                              const v1::FinalizeUploadRequest* request,
                              v1::FinalizeUploadResponse* response) override {
    return Answer(*context, script_.finalize_upload, *request, response);
  }
  grpc::Status GetDataset(grpc::ServerContext* context,
                          const v1::GetDatasetRequest* request,
                          v1::Dataset* response) override {
    return Answer(*context, script_.get_dataset, *request, response);
  }
  grpc::Status ListDatasets(grpc::ServerContext* context,
                            const v1::ListDatasetsRequest* request,
                            v1::ListDatasetsResponse* response) override {
    return Answer(*context, script_.list_datasets, *request, response);
  }
  grpc::Status DeleteDataset(grpc::ServerContext* context,
                             const v1::DeleteDatasetRequest* request,
                             google::protobuf::Empty* response) override {
    return Answer(*context, script_.delete_dataset, *request, response);
  }
  grpc::Status CreateCalibrationJob(
      grpc::ServerContext* context,
      const v1::CreateCalibrationJobRequest* request,
      v1::CalibrationJob* response) override {
    return Answer(*context, script_.create_job, *request, response);
  }
  grpc::Status PauseCalibrationJob(
      grpc::ServerContext* context,
      const v1::PauseCalibrationJobRequest* request,
      v1::CalibrationJob* response) override {
    return Answer(*context, script_.pause_job, *request, response);
  }
  grpc::Status ListCalibrationJobs(
      grpc::ServerContext* context,
      const v1::ListCalibrationJobsRequest* request,
      v1::ListCalibrationJobsResponse* response) override {
    return Answer(*context, script_.list_jobs, *request, response);
  }
  grpc::Status GetGateSet(grpc::ServerContext* context,
                          const v1::GetGateSetRequest* request,
                          v1::GateSet* response) override {
    return Answer(*context, script_.get_gate_set, *request, response);
  }
  grpc::Status ListGateSets(grpc::ServerContext* context,
                            const v1::ListGateSetsRequest* request,
                            v1::ListGateSetsResponse* response) override {
    return Answer(*context, script_.list_gate_sets, *request, response);
  }
  grpc::Status ValidateGateSet(grpc::ServerContext* context,
                               const v1::ValidateGateSetRequest* request,
                               v1::ValidateGateSetResponse* response) override {
    return Answer(*context, script_.validate_gate_set, *request, response);
  }
  grpc::Status GetGateRollout(grpc::ServerContext* context,
                              const v1::GetGateRolloutRequest* request,
                              v1::GateRollout* response) override {
    return Answer(*context, script_.get_rollout, *request, response);
  }
  grpc::Status UpdateGateRollout(grpc::ServerContext* context,
                                 const v1::UpdateGateRolloutRequest* request,
                                 v1::GateRollout* response) override {
    return Answer(*context, script_.update_rollout, *request, response);
  }
  grpc::Status RollbackGateRollout(
      grpc::ServerContext* context,
      const v1::RollbackGateRolloutRequest* request,
      v1::GateRollout* response) override {
    return Answer(*context, script_.roll_back, *request, response);
  }
  grpc::Status ListGateRolloutRevisions(
      grpc::ServerContext* context,
      const v1::ListGateRolloutRevisionsRequest* request,
      v1::ListGateRolloutRevisionsResponse* response) override {
    return Answer(*context, script_.list_revisions, *request, response);
  }
  grpc::Status WriteUpload(grpc::ServerContext* context,
                           grpc::ServerReader<v1::WriteUploadRequest>* reader,
                           v1::Upload* response) override {
    return Answer(*context, script_.write_upload, *reader, response);
  }
  grpc::Status WatchCalibrationJob(
      grpc::ServerContext* context,
      const v1::WatchCalibrationJobRequest* request,
      grpc::ServerWriter<v1::CalibrationJob>* writer) override {
    return Answer(*context, script_.watch_job, *context, *request, *writer);
  }
  grpc::Status DownloadGateSet(
      grpc::ServerContext* context, const v1::DownloadGateSetRequest* request,
      grpc::ServerWriter<v1::DownloadGateSetResponse>* writer) override {
    return Answer(*context, script_.download_gate_set, *request, *writer);
  }

 private:
  template <typename Method, typename... Args>
  grpc::Status Answer(const grpc::ServerContext& context, const Method& method,
                      Args&&... args) const {
    if (script_.admit) {
      if (grpc::Status status = script_.admit(context); !status.ok()) {
        return status;
      }
    }
    if (!method) return grpc::Status(grpc::UNIMPLEMENTED, "not in the script");
    return method(std::forward<Args>(args)...);
  }

  const AdminScript script_;
};

ScriptedAdminServer::ScriptedAdminServer(AdminScript script)
    : service_(std::make_unique<Service>(std::move(script))) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

ScriptedAdminServer::~ScriptedAdminServer() {
  server_->Shutdown(std::chrono::system_clock::now());
}

}  // namespace seer
