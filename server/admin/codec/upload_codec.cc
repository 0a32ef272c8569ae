#include "server/admin/codec/upload_codec.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/hash/crc32c.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/wire_fields.h"

namespace seer {
namespace {

absl::Status CheckNoOutputFields(const v1::Upload& upload) {
  const auto refuse = [](const char* field) {
    return InvalidField(absl::StrCat("upload.", field),
                        "is set by the server only");
  };
  if (!upload.name().empty()) return refuse("name");
  if (upload.committed_size() != 0) return refuse("committed_size");
  if (upload.state() != v1::UPLOAD_STATE_UNSPECIFIED) return refuse("state");
  if (!upload.result().empty()) return refuse("result");
  if (upload.has_failure()) return refuse("failure");
  if (upload.has_create_time()) return refuse("create_time");
  if (upload.has_expire_time()) return refuse("expire_time");
  return absl::OkStatus();
}

absl::StatusOr<UploadKind> DecodeKind(v1::UploadKind kind) {
  switch (kind) {
    case v1::UPLOAD_KIND_DATASET:
      return UploadKind::kDataset;
    case v1::UPLOAD_KIND_GATE_SET:
      return UploadKind::kGateSet;
    default:
      return InvalidField("upload.kind", "must be DATASET or GATE_SET");
  }
}

absl::StatusOr<UploadFormat> DecodeFormat(v1::UploadFormat format,
                                          UploadKind kind) {
  if (kind == UploadKind::kGateSet) {
    if (format == v1::UPLOAD_FORMAT_SAFETENSORS) {
      return UploadFormat::kSafetensors;
    }
    return InvalidField("upload.format", "must be SAFETENSORS of a gate set");
  }
  switch (format) {
    case v1::UPLOAD_FORMAT_TEXT:
      return UploadFormat::kText;
    case v1::UPLOAD_FORMAT_JSON_LINES:
      return UploadFormat::kJsonLines;
    case v1::UPLOAD_FORMAT_TOKEN_IDS:
      return UploadFormat::kTokenIds;
    default:
      return InvalidField("upload.format",
                          "must be TEXT, JSON_LINES or TOKEN_IDS of a dataset");
  }
}

bool IsSha256(absl::string_view digest) {
  for (const char c : digest) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return digest.size() == 64;
}

v1::UploadState EncodeState(UploadState state) {
  switch (state) {
    case UploadState::kReceiving:
      return v1::UPLOAD_STATE_RECEIVING;
    case UploadState::kFinalized:
      return v1::UPLOAD_STATE_FINALIZED;
    case UploadState::kFailed:
      return v1::UPLOAD_STATE_FAILED;
  }
  return v1::UPLOAD_STATE_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<NewUpload> DecodeNewUpload(
    const v1::CreateUploadRequest& request) {
  const v1::Upload& upload = request.upload();
  SEER_RETURN_IF_ERROR(CheckNoOutputFields(upload));
  NewUpload spec;
  SEER_ASSIGN_OR_RETURN(spec.kind, DecodeKind(upload.kind()));
  SEER_ASSIGN_OR_RETURN(spec.format, DecodeFormat(upload.format(), spec.kind));
  if (upload.size() < 1) {
    return InvalidField("upload.size", "must be at least 1");
  }
  spec.size = upload.size();
  if (!IsSha256(upload.sha256())) {
    return InvalidField("upload.sha256",
                        "must be 64 lowercase hexadecimal digits");
  }
  spec.sha256 = upload.sha256();
  SEER_RETURN_IF_ERROR(
      CheckDisplayName(upload.display_name(), "upload.display_name"));
  spec.display_name = upload.display_name();
  SEER_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  spec.request_id = request.request_id();
  return spec;
}

absl::Status CheckChunk(const v1::WriteUploadRequest& chunk) {
  if (chunk.data().empty() || chunk.data().size() > kMaxChunkBytes) {
    return InvalidField(
        "data", absl::StrCat("must have 1 to ", kMaxChunkBytes, " bytes, has ",
                             chunk.data().size()));
  }
  if (chunk.offset() < 0) return InvalidField("offset", "must be at least 0");
  if (!chunk.has_crc32c()) return InvalidField("crc32c", "is required");
  if (Crc32c(chunk.data()) != chunk.crc32c()) {
    return WithReason(
        absl::InvalidArgumentError(absl::StrCat(
            "the chunk at offset ", chunk.offset(),
            " is not what its crc32c says: it was damaged on its way")),
        {"CRC32C_MISMATCH", {}, {}});
  }
  return absl::OkStatus();
}

v1::Upload EncodeUpload(const Upload& upload, absl::string_view model) {
  v1::Upload out;
  out.set_name(UploadName(upload.id));
  out.set_kind(upload.spec.kind == UploadKind::kDataset
                   ? v1::UPLOAD_KIND_DATASET
                   : v1::UPLOAD_KIND_GATE_SET);
  out.set_format(EncodeFormat(upload.spec.format));
  out.set_size(upload.spec.size);
  out.set_sha256(upload.spec.sha256);
  out.set_display_name(upload.spec.display_name);
  out.set_committed_size(upload.committed_size);
  out.set_state(EncodeState(upload.state));
  if (!upload.result_id.empty()) {
    out.set_result(upload.spec.kind == UploadKind::kDataset
                       ? DatasetName(upload.result_id)
                       : GateSetName(model, upload.result_id));
  }
  if (upload.failure) *out.mutable_failure() = EncodeFailure(*upload.failure);
  *out.mutable_create_time() = EncodeTime(upload.create_time);
  *out.mutable_expire_time() = EncodeTime(upload.expire_time);
  return out;
}

v1::Dataset EncodeDataset(const Dataset& dataset) {
  v1::Dataset out;
  out.set_name(DatasetName(dataset.id));
  out.set_display_name(dataset.display_name);
  out.set_format(EncodeFormat(dataset.format));
  out.set_size(dataset.size);
  out.set_sha256(dataset.sha256);
  out.set_num_documents(dataset.facts.num_documents);
  if (dataset.facts.num_tokens) out.set_num_tokens(*dataset.facts.num_tokens);
  *out.mutable_create_time() = EncodeTime(dataset.create_time);
  if (dataset.damage) *out.mutable_damage() = EncodeFailure(*dataset.damage);
  return out;
}

}  // namespace seer
