#ifndef SEER_SERVER_ADMIN_UPLOAD_METHODS_H_
#define SEER_SERVER_ADMIN_UPLOAD_METHODS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/gate_control.h"
#include "google/protobuf/empty.pb.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/admin/call/admin_call.h"
#include "server/catalog/catalog.h"

namespace seer {

// GateAdminService's unary methods of uploads and datasets; their contract is
// gate_admin.proto. Thread-safe. They block on the disk.
class UploadMethods {
 public:
  // Pointers are borrowed. `model` is the {model} that is served, `vocab_size`
  // its.
  UploadMethods(Catalog* catalog, const GateControl* gates, std::string model,
                int32_t vocab_size);

  absl::StatusOr<v1::Upload> CreateUpload(
      const v1::CreateUploadRequest& request, AdminCall& call);
  absl::StatusOr<v1::Upload> GetUpload(const v1::GetUploadRequest& request,
                                       AdminCall& call);
  absl::StatusOr<v1::ListUploadsResponse> ListUploads(
      const v1::ListUploadsRequest& request, AdminCall& call);
  absl::StatusOr<google::protobuf::Empty> DeleteUpload(
      const v1::DeleteUploadRequest& request, AdminCall& call);
  // Stops between two MiB where the call is cancelled; the upload stays as it
  // was.
  absl::StatusOr<v1::FinalizeUploadResponse> FinalizeUpload(
      const v1::FinalizeUploadRequest& request, AdminCall& call);

  absl::StatusOr<v1::Dataset> GetDataset(const v1::GetDatasetRequest& request,
                                         AdminCall& call);
  absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(
      const v1::ListDatasetsRequest& request, AdminCall& call);
  absl::StatusOr<google::protobuf::Empty> DeleteDataset(
      const v1::DeleteDatasetRequest& request, AdminCall& call);

 private:
  absl::StatusOr<v1::FinalizeUploadResponse> ResultOf(const Upload& upload);
  absl::StatusOr<Dataset> FinishDataset(const SealedUpload& sealed,
                                        const AdminCall& call);
  absl::StatusOr<GateSetRecord> FinishGateSet(const SealedUpload& sealed);
  // Fails the upload for its content, and is the answer to the caller.
  absl::Status Fail(const Upload& upload, const Failure& failure,
                    absl::Status answer);
  absl::StatusOr<v1::GateSet> Encoded(absl::StatusOr<GateSetRecord> gate_set);

  Catalog* const catalog_;
  const GateControl* const gates_;
  const std::string model_;
  const int32_t vocab_size_;
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_UPLOAD_METHODS_H_
