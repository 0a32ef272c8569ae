// A client of seer.v1.GateAdminService.
//
//   ClientOptions options;
//   options.target = kDefaultAdminTarget;
//   SEER_ASSIGN_OR_RETURN(auto client, GateAdminClient::Create(options));
//   SEER_ASSIGN_OR_RETURN(auto jobs, client->ListCalibrationJobs());
#ifndef SEER_CLIENT_ADMIN_GATE_ADMIN_CLIENT_H_
#define SEER_CLIENT_ADMIN_GATE_ADMIN_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/connection/connection.h"
#include "proto/seer/v1/gate_admin.grpc.pb.h"

namespace seer {

// Where a server's admin port is by default.
inline constexpr char kDefaultAdminTarget[] = "127.0.0.1:8472";

// Thread-safe. Errors keep the server's code and message, and its details for
// DetailsOf (client/connection/error_details.h). No call throws. Calls that end
// UNAVAILABLE are tried again, as the connection's options say. Where only the
// answer was lost, a request_id or an etag keeps the next try from having the
// effect twice; a deletion then answers NOT_FOUND.
//
// Upload bytes with UploadBytes (client/admin/upload_bytes.h), change a rollout
// with client/admin/rollout_change.h.
class GateAdminClient {
 public:
  using Stub = v1::GateAdminService::Stub;

  // Does not connect: the first call does.
  static absl::StatusOr<std::unique_ptr<GateAdminClient>> Create(
      const ClientOptions& options);
  // Shares the connection. Not null.
  explicit GateAdminClient(std::shared_ptr<const Connection> connection);

  const Connection& connection() const { return *connection_; }
  Stub* stub() const { return stub_.get(); }

  // Any unary method of the stub:
  //   client->Call(&GateAdminClient::Stub::GetDataset, request, options)
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, const CallOptions& options = {}) const {
    return connection_->Unary(stub_.get(), method, request, options);
  }

  // Methods whose request is a name.
  absl::StatusOr<v1::Dataset> GetDataset(const std::string& name,
                                         const CallOptions& options = {}) const;
  absl::Status DeleteDataset(const std::string& name,
                             const CallOptions& options = {}) const;
  absl::StatusOr<v1::CalibrationJob> GetCalibrationJob(
      const std::string& name, const CallOptions& options = {}) const;
  absl::StatusOr<v1::CalibrationJob> PauseCalibrationJob(
      const std::string& name, const CallOptions& options = {}) const;
  absl::StatusOr<v1::CalibrationJob> ResumeCalibrationJob(
      const std::string& name, const CallOptions& options = {}) const;
  absl::StatusOr<v1::CalibrationJob> CancelCalibrationJob(
      const std::string& name, const CallOptions& options = {}) const;
  absl::StatusOr<v1::GateSet> GetGateSet(const std::string& name,
                                         const CallOptions& options = {}) const;
  absl::StatusOr<v1::ValidateGateSetResponse> ValidateGateSet(
      const std::string& name, const CallOptions& options = {}) const;
  absl::Status DeleteGateSet(const std::string& name,
                             const CallOptions& options = {}) const;
  absl::StatusOr<v1::GateRollout> GetGateRollout(
      const std::string& name, const CallOptions& options = {}) const;

  // All pages of a list, newest first.
  absl::StatusOr<std::vector<v1::Dataset>> ListDatasets(
      const CallOptions& options = {}) const;
  absl::StatusOr<std::vector<v1::CalibrationJob>> ListCalibrationJobs(
      const CallOptions& options = {}) const;
  absl::StatusOr<std::vector<v1::GateSet>> ListGateSets(
      const std::string& parent, const CallOptions& options = {}) const;
  absl::StatusOr<std::vector<v1::GateRolloutRevision>> ListGateRolloutRevisions(
      const std::string& rollout, const CallOptions& options = {}) const;

  // The bytes of its file, checked against its size, its digest and each
  // chunk's CRC-32C. DATA_LOSS: they are others. All of them are in memory.
  absl::StatusOr<std::string> DownloadGateSet(
      const std::string& name, const CallOptions& options = {}) const;

  // Calls `on_job` with the job as it is and then as it changes, at most once a
  // `min_interval` ([0.1 s, 60 s]), on the calling thread; returns the job as
  // it ended. A stream that breaks is opened again: what it shows after that is
  // the job as it then is. The timeout is for the whole of it.
  absl::StatusOr<v1::CalibrationJob> WatchCalibrationJob(
      const std::string& name, absl::Duration min_interval,
      absl::FunctionRef<void(const v1::CalibrationJob&)> on_job,
      const CallOptions& options = {}) const;

 private:
  const std::shared_ptr<const Connection> connection_;
  const std::unique_ptr<Stub> stub_;
};

// Whether a job will not change any more.
bool HasEnded(const v1::CalibrationJob& job);

// 32 random hexadecimal digits: the request_id of a call that is to have its
// effect once, however often it is tried.
std::string NewRequestId();

}  // namespace seer

#endif  // SEER_CLIENT_ADMIN_GATE_ADMIN_CLIENT_H_
