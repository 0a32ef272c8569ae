#include "server/admin/upload_methods.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/admin/codec/gate_set_codec.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/upload_codec.h"
#include "server/admin/codec/wire_fields.h"
#include "server/admin/rollout/rollout_control.h"
#include "server/dataset/dataset_reader.h"

namespace seer {

UploadMethods::UploadMethods(Catalog* catalog, const GateControl* gates,
                             std::string model, int32_t vocab_size)
    : catalog_(catalog),
      gates_(gates),
      model_(std::move(model)),
      vocab_size_(vocab_size) {}

absl::StatusOr<v1::Upload> UploadMethods::CreateUpload(
    const v1::CreateUploadRequest& request, AdminCall& call) {
  SEER_ASSIGN_OR_RETURN(const NewUpload spec, DecodeNewUpload(request));
  SEER_ASSIGN_OR_RETURN(const Upload upload,
                        catalog_->CreateUpload(spec, absl::Now()));
  call.SetResource(UploadName(upload.id));
  return EncodeUpload(upload, model_);
}

absl::StatusOr<v1::Upload> UploadMethods::GetUpload(
    const v1::GetUploadRequest& request, AdminCall& call) {
  call.SetResource(request.name());
  SEER_ASSIGN_OR_RETURN(const std::string id,
                        ParseUploadName(request.name(), "name"));
  SEER_ASSIGN_OR_RETURN(const Upload upload, catalog_->GetUpload(id));
  return EncodeUpload(upload, model_);
}

absl::StatusOr<v1::ListUploadsResponse> UploadMethods::ListUploads(
    const v1::ListUploadsRequest& request, AdminCall&) {
  SEER_ASSIGN_OR_RETURN(const PageRequest page,
                        DecodePage(request.page_size(), request.page_token()));
  SEER_ASSIGN_OR_RETURN(const Page<Upload> uploads,
                        catalog_->ListUploads(page));
  v1::ListUploadsResponse response;
  for (const Upload& upload : uploads.items) {
    *response.add_uploads() = EncodeUpload(upload, model_);
  }
  response.set_next_page_token(uploads.next_token);
  return response;
}

absl::StatusOr<google::protobuf::Empty> UploadMethods::DeleteUpload(
    const v1::DeleteUploadRequest& request, AdminCall& call) {
  call.SetResource(request.name());
  SEER_ASSIGN_OR_RETURN(const std::string id,
                        ParseUploadName(request.name(), "name"));
  SEER_RETURN_IF_ERROR(catalog_->DeleteUpload(id));
  return google::protobuf::Empty();
}

absl::StatusOr<v1::FinalizeUploadResponse> UploadMethods::FinalizeUpload(
    const v1::FinalizeUploadRequest& request, AdminCall& call) {
  call.SetResource(request.name());
  SEER_ASSIGN_OR_RETURN(const std::string id,
                        ParseUploadName(request.name(), "name"));
  SEER_ASSIGN_OR_RETURN(const SealedUpload sealed,
                        catalog_->SealUpload(id, absl::Now(), [&call] {
                          return call.IsCancelled();
                        }));
  if (sealed.upload.state == UploadState::kFinalized) {
    return ResultOf(sealed.upload);
  }
  v1::FinalizeUploadResponse response;
  if (sealed.upload.spec.kind == UploadKind::kDataset) {
    SEER_ASSIGN_OR_RETURN(const Dataset dataset, FinishDataset(sealed, call));
    *response.mutable_dataset() = EncodeDataset(dataset);
  } else {
    SEER_ASSIGN_OR_RETURN(*response.mutable_gate_set(),
                          Encoded(FinishGateSet(sealed)));
  }
  return response;
}

absl::StatusOr<v1::FinalizeUploadResponse> UploadMethods::ResultOf(
    const Upload& upload) {
  v1::FinalizeUploadResponse response;
  if (upload.spec.kind == UploadKind::kDataset) {
    SEER_ASSIGN_OR_RETURN(const Dataset dataset,
                          catalog_->GetDataset(upload.result_id));
    *response.mutable_dataset() = EncodeDataset(dataset);
  } else {
    SEER_ASSIGN_OR_RETURN(*response.mutable_gate_set(),
                          Encoded(catalog_->GetGateSet(upload.result_id)));
  }
  return response;
}

absl::StatusOr<v1::GateSet> UploadMethods::Encoded(
    absl::StatusOr<GateSetRecord> gate_set) {
  SEER_RETURN_IF_ERROR(gate_set.status());
  SEER_ASSIGN_OR_RETURN(const Rollout rollout, catalog_->GetRollout(model_));
  return EncodeGateSet(*gate_set, rollout);
}

absl::StatusOr<Dataset> UploadMethods::FinishDataset(const SealedUpload& sealed,
                                                     const AdminCall& call) {
  const Upload& upload = sealed.upload;
  const absl::StatusOr<DatasetFacts> facts =
      InspectDataset(sealed.path, upload.spec.format, vocab_size_,
                     [&call] { return call.IsCancelled(); });
  if (absl::IsInvalidArgument(facts.status())) {
    return Fail(upload,
                {"DATASET_INVALID", std::string(facts.status().message())},
                facts.status());
  }
  // Deleted, or finalized and deleted, while it was opened.
  if (absl::IsNotFound(facts.status())) {
    SEER_RETURN_IF_ERROR(catalog_->GetUpload(upload.id).status());
  }
  SEER_RETURN_IF_ERROR(facts.status());
  return catalog_->FinishDataset(upload.id, *facts, absl::Now());
}

absl::StatusOr<GateSetRecord> UploadMethods::FinishGateSet(
    const SealedUpload& sealed) {
  const Upload& upload = sealed.upload;
  const absl::StatusOr<GateFileFacts> facts = gates_->Validate(sealed.path);
  if (facts.ok()) {
    return catalog_->FinishGateSet(upload.id, FactsOf(*facts, model_),
                                   absl::Now());
  }
  const absl::Status told = WithoutPath(facts.status(), sealed.path);
  const std::string message(told.message());
  if (absl::IsInvalidArgument(told)) {
    return Fail(upload, {"GATE_SET_INVALID", message}, told);
  }
  if (absl::IsFailedPrecondition(told)) {
    const auto reason = ReasonOf(told);
    const bool has_reason = reason && reason->reason == "ORACLE_NOT_ALLOWED";
    return Fail(upload, {has_reason ? reason->reason : "OTHER_MODEL", message},
                told);
  }
  if (absl::IsNotFound(told)) {
    SEER_RETURN_IF_ERROR(catalog_->GetUpload(upload.id).status());
    return absl::InternalError("the file of a sealed upload is gone");
  }
  return told;
}

absl::Status UploadMethods::Fail(const Upload& upload, const Failure& failure,
                                 absl::Status answer) {
  const absl::Status failed =
      catalog_->FailUpload(upload.id, failure, absl::Now());
  // Another call may have been here first, with the same finding.
  if (!failed.ok() && !absl::IsFailedPrecondition(failed)) return failed;
  const char* reason = failure.reason == "OTHER_MODEL" ? "GATE_SET_INVALID"
                                                       : failure.reason.c_str();
  return WithReason(std::move(answer), {reason, {}, {}});
}

absl::StatusOr<v1::Dataset> UploadMethods::GetDataset(
    const v1::GetDatasetRequest& request, AdminCall& call) {
  call.SetResource(request.name());
  SEER_ASSIGN_OR_RETURN(const std::string id,
                        ParseDatasetName(request.name(), "name"));
  SEER_ASSIGN_OR_RETURN(const Dataset dataset, catalog_->GetDataset(id));
  return EncodeDataset(dataset);
}

absl::StatusOr<v1::ListDatasetsResponse> UploadMethods::ListDatasets(
    const v1::ListDatasetsRequest& request, AdminCall&) {
  SEER_ASSIGN_OR_RETURN(const PageRequest page,
                        DecodePage(request.page_size(), request.page_token()));
  SEER_ASSIGN_OR_RETURN(const Page<Dataset> datasets,
                        catalog_->ListDatasets(page));
  v1::ListDatasetsResponse response;
  for (const Dataset& dataset : datasets.items) {
    *response.add_datasets() = EncodeDataset(dataset);
  }
  response.set_next_page_token(datasets.next_token);
  return response;
}

absl::StatusOr<google::protobuf::Empty> UploadMethods::DeleteDataset(
    const v1::DeleteDatasetRequest& request, AdminCall& call) {
  call.SetResource(request.name());
  SEER_ASSIGN_OR_RETURN(const std::string id,
                        ParseDatasetName(request.name(), "name"));
  SEER_RETURN_IF_ERROR(catalog_->DeleteDataset(id));
  return google::protobuf::Empty();
}

}  // namespace seer
