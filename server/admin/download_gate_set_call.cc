#include "server/admin/download_gate_set_call.h"

#include <string>
#include <utility>

#include "absl/types/span.h"
#include "base/hash/crc32c.h"
#include "base/status_macros.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/admin/codec/resource_names.h"
#include "server/admin/codec/upload_codec.h"
#include "server/completion/raw_message.h"

namespace seer {

DownloadGateSetCall::DownloadGateSetCall(const AdminCallParts& call,
                                         Catalog* catalog, WorkerPool* workers,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer& request)
    : AdminCall(call, "DownloadGateSet", context),
      catalog_(catalog),
      workers_(workers),
      request_(request) {}

void DownloadGateSetCall::Begin() {
  if (absl::Status status = Enter(); !status.ok()) {
    Finish(End(std::move(status)));
  } else {
    Continue();
  }
}

void DownloadGateSetCall::Continue() {
  if (!workers_->TryRun([this] { SendNext(); })) {
    Finish(End(absl::InternalError("the workers have no place for a call")));
  }
}

void DownloadGateSetCall::OnWriteDone(bool ok) {
  EndWait();
  if (ok) {
    Continue();
  } else {
    Finish(End(absl::CancelledError("cancelled")));
  }
}

void DownloadGateSetCall::OnDone() {
  Leave();
  delete this;
}

void DownloadGateSetCall::SendNext() {
  absl::Status status = file_ ? absl::OkStatus() : Open();
  absl::StatusOr<bool> any = status.ok() ? PrepareChunk() : status;
  if (any.ok() && *any) {
    BeginWait();
    StartWrite(&chunk_);
  } else {
    Finish(End(any.status()));
  }
}

absl::Status DownloadGateSetCall::Open() {
  v1::DownloadGateSetRequest request;
  SEER_RETURN_IF_ERROR(ParseMessage(request_, request));
  SetResource(request.name());
  SEER_ASSIGN_OR_RETURN(const GateSetKey key,
                        ParseGateSetName(request.name(), "name"));
  SEER_ASSIGN_OR_RETURN(gate_set_, catalog_->GetGateSet(key.id));
  if (!IsModel(key.model, gate_set_.facts.model)) {
    return NoSuch("GateSet", request.name());
  }
  // A damaged one has an answer of the catalog's own.
  if (gate_set_.damage) return catalog_->VerifyGateSet(gate_set_.id);
  absl::StatusOr<SequentialFile> file = SequentialFile::Open(gate_set_.path);
  if (!file.ok()) {
    SEER_RETURN_IF_ERROR(catalog_->VerifyGateSet(gate_set_.id));
    return absl::UnavailableError("the gate set's file changed meanwhile");
  }
  file_ = *std::move(file);
  return absl::OkStatus();
}

absl::StatusOr<bool> DownloadGateSetCall::PrepareChunk() {
  v1::DownloadGateSetResponse response;
  std::string& data = *response.mutable_data();
  SEER_ASSIGN_OR_RETURN(const size_t size, file_->Read(kMaxChunkBytes, data));
  if (size == 0) {
    if (digest_.FinishHex() == gate_set_.sha256) return false;
    SEER_RETURN_IF_ERROR(catalog_->VerifyGateSet(gate_set_.id));
    return absl::UnavailableError("the gate set's file changed meanwhile");
  }
  digest_.Add(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(data.data()),
                                  data.size()));
  response.set_offset(offset_);
  response.set_crc32c(Crc32c(data));
  offset_ += static_cast<int64_t>(size);
  chunk_ = SerializeMessage(response);
  return true;
}

}  // namespace seer
