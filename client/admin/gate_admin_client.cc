#include "client/admin/gate_admin_client.h"

#include <random>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/hash/crc32c.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "google/protobuf/empty.pb.h"

namespace seer {
namespace {

// Entries of one page, the most that the server gives.
constexpr int kPageSize = 1000;

// All entries of a list, page by page; `entries` is the response's field.
template <typename Entry, typename Request, typename Response>
absl::StatusOr<std::vector<Entry>> ListAll(
    const GateAdminClient& client,
    grpc::Status (GateAdminClient::Stub::*method)(grpc::ClientContext*,
                                                  const Request&, Response*),
    google::protobuf::RepeatedPtrField<Entry>* (Response::*entries)(),
    Request request, const CallOptions& options) {
  std::vector<Entry> all;
  request.set_page_size(kPageSize);
  do {
    SEER_ASSIGN_OR_RETURN(Response page, client.Call(method, request, options));
    for (Entry& entry : *(page.*entries)()) all.push_back(std::move(entry));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

template <typename Request>
Request Named(const std::string& name) {
  Request request;
  request.set_name(name);
  return request;
}

}  // namespace

absl::StatusOr<std::unique_ptr<GateAdminClient>> GateAdminClient::Create(
    const ClientOptions& options) {
  SEER_ASSIGN_OR_RETURN(auto connection, Connection::Create(options));
  return std::make_unique<GateAdminClient>(std::move(connection));
}

GateAdminClient::GateAdminClient(std::shared_ptr<const Connection> connection)
    : connection_(std::move(connection)),
      stub_(v1::GateAdminService::NewStub(connection_->channel())) {}

absl::StatusOr<v1::Dataset> GateAdminClient::GetDataset(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::GetDataset, Named<v1::GetDatasetRequest>(name), options);
}

absl::Status GateAdminClient::DeleteDataset(const std::string& name,
                                            const CallOptions& options) const {
  return Call(&Stub::DeleteDataset, Named<v1::DeleteDatasetRequest>(name),
              options)
      .status();
}

absl::StatusOr<v1::CalibrationJob> GateAdminClient::GetCalibrationJob(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::GetCalibrationJob,
              Named<v1::GetCalibrationJobRequest>(name), options);
}

absl::StatusOr<v1::CalibrationJob> GateAdminClient::PauseCalibrationJob(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::PauseCalibrationJob,
              Named<v1::PauseCalibrationJobRequest>(name), options);
}

absl::StatusOr<v1::CalibrationJob> GateAdminClient::ResumeCalibrationJob(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::ResumeCalibrationJob,
              Named<v1::ResumeCalibrationJobRequest>(name), options);
}

absl::StatusOr<v1::CalibrationJob> GateAdminClient::CancelCalibrationJob(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::CancelCalibrationJob,
              Named<v1::CancelCalibrationJobRequest>(name), options);
}

absl::StatusOr<v1::GateSet> GateAdminClient::GetGateSet(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::GetGateSet, Named<v1::GetGateSetRequest>(name), options);
}

absl::StatusOr<v1::ValidateGateSetResponse> GateAdminClient::ValidateGateSet(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::ValidateGateSet, Named<v1::ValidateGateSetRequest>(name),
              options);
}

absl::Status GateAdminClient::DeleteGateSet(const std::string& name,
                                            const CallOptions& options) const {
  return Call(&Stub::DeleteGateSet, Named<v1::DeleteGateSetRequest>(name),
              options)
      .status();
}

absl::StatusOr<v1::GateRollout> GateAdminClient::GetGateRollout(
    const std::string& name, const CallOptions& options) const {
  return Call(&Stub::GetGateRollout, Named<v1::GetGateRolloutRequest>(name),
              options);
}

absl::StatusOr<std::vector<v1::Dataset>> GateAdminClient::ListDatasets(
    const CallOptions& options) const {
  return ListAll(*this, &Stub::ListDatasets,
                 &v1::ListDatasetsResponse::mutable_datasets,
                 v1::ListDatasetsRequest(), options);
}

absl::StatusOr<std::vector<v1::CalibrationJob>>
GateAdminClient::ListCalibrationJobs(const CallOptions& options) const {
  return ListAll(*this, &Stub::ListCalibrationJobs,
                 &v1::ListCalibrationJobsResponse::mutable_calibration_jobs,
                 v1::ListCalibrationJobsRequest(), options);
}

absl::StatusOr<std::vector<v1::GateSet>> GateAdminClient::ListGateSets(
    const std::string& parent, const CallOptions& options) const {
  v1::ListGateSetsRequest request;
  request.set_parent(parent);
  return ListAll(*this, &Stub::ListGateSets,
                 &v1::ListGateSetsResponse::mutable_gate_sets,
                 std::move(request), options);
}

absl::StatusOr<std::vector<v1::GateRolloutRevision>>
GateAdminClient::ListGateRolloutRevisions(const std::string& rollout,
                                          const CallOptions& options) const {
  return ListAll(*this, &Stub::ListGateRolloutRevisions,
                 &v1::ListGateRolloutRevisionsResponse::mutable_revisions,
                 Named<v1::ListGateRolloutRevisionsRequest>(rollout), options);
}

absl::StatusOr<std::string> GateAdminClient::DownloadGateSet(
    const std::string& name, const CallOptions& options) const {
  SEER_ASSIGN_OR_RETURN(const v1::GateSet gate_set, GetGateSet(name, options));
  const auto request = Named<v1::DownloadGateSetRequest>(name);
  std::string bytes;
  SEER_RETURN_IF_ERROR(
      connection_->Call(options, [&](grpc::ClientContext* context) {
        bytes.clear();
        bool damaged = false;
        const auto reader = stub_->DownloadGateSet(context, request);
        v1::DownloadGateSetResponse chunk;
        while (!damaged && reader->Read(&chunk)) {
          damaged = chunk.offset() != static_cast<int64_t>(bytes.size()) ||
                    chunk.crc32c() != Crc32c(chunk.data());
          bytes += chunk.data();
        }
        if (damaged) context->TryCancel();
        Connection::Outcome outcome{reader->Finish()};
        if (damaged) {
          outcome.status =
              grpc::Status(grpc::DATA_LOSS, "a chunk arrived damaged");
          outcome.transient = true;
        }
        return outcome;
      }));
  if (Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()),
                 bytes.size()}) != gate_set.sha256()) {
    return absl::DataLossError(
        "the bytes received are not those of the gate set");
  }
  return bytes;
}

absl::StatusOr<v1::CalibrationJob> GateAdminClient::WatchCalibrationJob(
    const std::string& name, absl::Duration min_interval,
    absl::FunctionRef<void(const v1::CalibrationJob&)> on_job,
    const CallOptions& options) const {
  auto request = Named<v1::WatchCalibrationJobRequest>(name);
  const int64_t nanos = absl::ToInt64Nanoseconds(min_interval);
  request.mutable_min_interval()->set_seconds(nanos / 1'000'000'000);
  request.mutable_min_interval()->set_nanos(
      static_cast<int32_t>(nanos % 1'000'000'000));
  v1::CalibrationJob job;
  SEER_RETURN_IF_ERROR(
      connection_->Call(options, [&](grpc::ClientContext* context) {
        Connection::Outcome outcome;
        const auto reader = stub_->WatchCalibrationJob(context, request);
        while (reader->Read(&job)) {
          outcome.progressed = true;
          on_job(job);
        }
        outcome.status = reader->Finish();
        if (outcome.status.ok() && !HasEnded(job)) {
          outcome.status =
              grpc::Status(grpc::UNAVAILABLE, "the stream ended early");
        }
        return outcome;
      }));
  return job;
}

bool HasEnded(const v1::CalibrationJob& job) {
  return job.state() == v1::CALIBRATION_JOB_STATE_SUCCEEDED ||
         job.state() == v1::CALIBRATION_JOB_STATE_FAILED ||
         job.state() == v1::CALIBRATION_JOB_STATE_CANCELLED;
}

std::string NewRequestId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) absl::StrAppendFormat(&id, "%08x", random());
  return id;
}

}  // namespace seer
