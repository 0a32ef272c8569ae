#include "client/admin/upload_bytes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/hash/crc32c.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "client/connection/error_details.h"

namespace seer {
namespace {

using Stub = GateAdminClient::Stub;

// Bytes, the most that the server takes.
constexpr size_t kChunkSize = 1 << 20;

// Hexadecimal digits of a digest that a request id keeps; at most 64.
constexpr size_t kRequestIdSize = 40;

// Whether a stream that ended so may be opened again at what was committed.
bool MayGoOn(const absl::Status& status) {
  const std::string reason = DetailsOf(status).reason;
  return (absl::IsAborted(status) && reason == "UPLOAD_BUSY") ||
         (absl::IsOutOfRange(status) && reason == "UPLOAD_OFFSET") ||
         (absl::IsInvalidArgument(status) && reason == "CRC32C_MISMATCH");
}

// One that is gone, or no longer what it was.
template <typename Resource>
absl::StatusOr<bool> IsUseless(const absl::StatusOr<Resource>& resource) {
  if (absl::IsNotFound(resource.status())) return true;
  if (!resource.ok()) return resource.status();
  return resource->has_damage();
}

std::string RequestIdOf(absl::string_view facts) {
  return Sha256Hex(
             {reinterpret_cast<const uint8_t*>(facts.data()), facts.size()})
      .substr(0, kRequestIdSize);
}

// One upload.
class Uploader {
 public:
  Uploader(const GateAdminClient& client, const UploadContent& content,
           UploadProgress on_progress, const CallOptions& options)
      : client_(client),
        content_(content),
        on_progress_(on_progress),
        options_(options) {}

  absl::StatusOr<v1::FinalizeUploadResponse> Run() {
    v1::CreateUploadRequest create = CreateRequest();
    SEER_ASSIGN_OR_RETURN(upload_,
                          client_.Call(&Stub::CreateUpload, create, options_));
    while (true) {
      SEER_ASSIGN_OR_RETURN(const bool stale, IsStale());
      if (!stale) break;
      create.set_request_id(
          RequestIdOf(absl::StrCat(create.request_id(), " ", upload_.name())));
      SEER_ASSIGN_OR_RETURN(
          upload_, client_.Call(&Stub::CreateUpload, create, options_));
    }
    if (upload_.state() == v1::UPLOAD_STATE_RECEIVING) {
      SEER_RETURN_IF_ERROR(Write());
    }
    v1::FinalizeUploadRequest finalize;
    finalize.set_name(upload_.name());
    return client_.Call(&Stub::FinalizeUpload, finalize, options_);
  }

 private:
  v1::CreateUploadRequest CreateRequest() const {
    v1::CreateUploadRequest request;
    v1::Upload& upload = *request.mutable_upload();
    upload.set_kind(content_.kind);
    upload.set_format(content_.format);
    upload.set_size(size());
    upload.set_sha256(Sha256Hex(content_.bytes));
    upload.set_display_name(content_.display_name);
    request.set_request_id(
        RequestIdOf(absl::StrCat(content_.kind, " ", content_.format, " ",
                                 upload.sha256(), " ", content_.display_name)));
    return request;
  }

  // Whether the upload that an earlier call made has ended and left nothing to
  // use.
  absl::StatusOr<bool> IsStale() const {
    if (upload_.state() == v1::UPLOAD_STATE_FAILED) return true;
    if (upload_.state() != v1::UPLOAD_STATE_FINALIZED) return false;
    return content_.kind == v1::UPLOAD_KIND_DATASET
               ? IsUseless(client_.GetDataset(upload_.result(), options_))
               : IsUseless(client_.GetGateSet(upload_.result(), options_));
  }

  absl::Status Write() {
    int64_t offset = upload_.committed_size();
    if (offset == size()) return absl::OkStatus();
    bool first = true;
    absl::Status get_status;
    const absl::Status status =
        client_.connection().Call(options_, [&](grpc::ClientContext* context) {
          Connection::Outcome outcome;
          if (!std::exchange(first, false)) {
            const absl::StatusOr<v1::Upload> upload = Get();
            get_status = upload.status();
            // An error ends it: that call has had its own tries.
            if (!upload.ok()) return outcome;
            outcome.progressed = upload->committed_size() > offset;
            offset = upload->committed_size();
            if (offset == size()) return outcome;
          }
          outcome.status = WriteFrom(offset, context);
          outcome.transient = MayGoOn(StatusFromGrpc(outcome.status));
          return outcome;
        });
    return get_status.ok() ? status : get_status;
  }

  absl::StatusOr<v1::Upload> Get() const {
    v1::GetUploadRequest request;
    request.set_name(upload_.name());
    return client_.Call(&Stub::GetUpload, request, options_);
  }

  // One stream, from `offset` to the end of the file.
  grpc::Status WriteFrom(int64_t offset, grpc::ClientContext* context) const {
    v1::Upload answer;
    const auto writer = client_.stub()->WriteUpload(context, &answer);
    v1::WriteUploadRequest chunk;
    chunk.set_upload(upload_.name());
    while (offset < size()) {
      const absl::Span<const uint8_t> bytes =
          content_.bytes.subspan(static_cast<size_t>(offset), kChunkSize);
      on_progress_(offset, size());
      chunk.set_offset(offset);
      chunk.set_data(bytes.data(), bytes.size());
      chunk.set_crc32c(Crc32c(chunk.data()));
      if (!writer->Write(chunk)) break;
      offset += static_cast<int64_t>(bytes.size());
      chunk.clear_upload();
    }
    if (offset == size()) on_progress_(offset, size());
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    if (status.ok() && answer.committed_size() != size()) {
      return grpc::Status(grpc::UNAVAILABLE, "the stream ended early");
    }
    return status;
  }

  int64_t size() const { return static_cast<int64_t>(content_.bytes.size()); }

  const GateAdminClient& client_;
  const UploadContent& content_;
  const UploadProgress on_progress_;
  const CallOptions& options_;
  v1::Upload upload_;
};

}  // namespace

absl::StatusOr<v1::FinalizeUploadResponse> UploadBytes(
    const GateAdminClient& client, const UploadContent& content,
    UploadProgress on_progress, const CallOptions& options) {
  return Uploader(client, content, on_progress, options).Run();
}

}  // namespace seer
