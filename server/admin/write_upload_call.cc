#include "server/admin/write_upload_call.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/upload_codec.h"
#include "server/completion/raw_message.h"

namespace seer {

bool UploadWriters::TryClaim(const std::string& upload_id) {
  MutexLock lock(&mutex_);
  return claimed_.insert(upload_id).second;
}

void UploadWriters::Release(const std::string& upload_id) {
  MutexLock lock(&mutex_);
  claimed_.erase(upload_id);
}

WriteUploadCall::WriteUploadCall(const AdminCallParts& call,
                                 const WriteUploadParts& parts,
                                 grpc::CallbackServerContext* context,
                                 grpc::ByteBuffer* response)
    : AdminCall(call, "WriteUpload", context),
      upload_parts_(parts),
      response_(response) {}

void WriteUploadCall::Begin() {
  if (absl::Status status = Enter(); !status.ok()) {
    Finish(End(std::move(status)));
  } else {
    Read();
  }
}

void WriteUploadCall::Read() {
  BeginWait();
  StartRead(&chunk_);
}

void WriteUploadCall::OnReadDone(bool ok) {
  EndWait();
  const bool runs = upload_parts_.workers->TryRun(
      [this, ok] { ok ? TakeChunk() : EndStream(); });
  if (!runs) {
    Finish(End(absl::InternalError("the workers have no place for a call")));
  }
}

void WriteUploadCall::OnDone() {
  Leave();
  delete this;
}

void WriteUploadCall::TakeChunk() {
  absl::Status status = Append();
  if (status.ok()) return Read();
  // The chunks before it were right, and the client goes on after them.
  if (!id_.empty()) {
    (void)upload_parts_.catalog->CommitUpload(id_, absl::Now());
    upload_parts_.writers->Release(id_);
  }
  Finish(End(std::move(status)));
}

absl::Status WriteUploadCall::Append() {
  v1::WriteUploadRequest chunk;
  SEER_RETURN_IF_ERROR(ParseMessage(chunk_, chunk));
  chunk_.Clear();
  if (id_.empty()) {
    SEER_RETURN_IF_ERROR(Claim(chunk));
  } else {
    if (!chunk.upload().empty() && chunk.upload() != UploadName(id_)) {
      return InvalidField("upload", "must be that of the first message");
    }
    if (chunk.offset() != end_) {
      return WithReason(
          absl::OutOfRangeError("the chunk does not begin where the one before "
                                "it ends"),
          {"UPLOAD_OFFSET", end_, chunk.offset()});
    }
  }
  SEER_RETURN_IF_ERROR(CheckChunk(chunk));
  SEER_ASSIGN_OR_RETURN(
      end_, upload_parts_.catalog->AppendToUpload(id_, chunk.offset(),
                                                  chunk.data(), absl::Now()));
  upload_parts_.metrics->CountUploadBytes(
      static_cast<int64_t>(chunk.data().size()));
  return absl::OkStatus();
}

absl::Status WriteUploadCall::Claim(const v1::WriteUploadRequest& first) {
  SetResource(first.upload());
  SEER_ASSIGN_OR_RETURN(std::string id,
                        ParseUploadName(first.upload(), "upload"));
  if (!upload_parts_.writers->TryClaim(id)) {
    return WithReason(absl::AbortedError("another stream writes this upload"),
                      {"UPLOAD_BUSY", {}, {}});
  }
  id_ = std::move(id);
  return absl::OkStatus();
}

void WriteUploadCall::EndStream() {
  absl::Status status = Answer();
  if (!id_.empty()) upload_parts_.writers->Release(id_);
  Finish(End(IsCancelled() ? absl::CancelledError("cancelled")
                           : std::move(status)));
}

absl::Status WriteUploadCall::Answer() {
  if (id_.empty()) return InvalidField("upload", "is required: uploads/{id}");
  SEER_ASSIGN_OR_RETURN(const Upload upload,
                        upload_parts_.catalog->CommitUpload(id_, absl::Now()));
  *response_ = SerializeMessage(EncodeUpload(upload, parts().model));
  return absl::OkStatus();
}

}  // namespace seer
