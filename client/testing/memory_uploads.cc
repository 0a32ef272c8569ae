#include "client/testing/memory_uploads.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash/crc32c.h"
#include "base/hash/sha256.h"

namespace seer {
namespace {

constexpr size_t kMaxChunk = 1 << 20;

grpc::Status Invalid(const std::string& message) {
  return grpc::Status(grpc::INVALID_ARGUMENT, message);
}

grpc::Status CheckChunk(const v1::WriteUploadRequest& chunk,
                        const v1::Upload& upload) {
  if (chunk.data().empty() || chunk.data().size() > kMaxChunk) {
    return Invalid("data has a wrong size");
  }
  if (!chunk.has_crc32c() || chunk.crc32c() != Crc32c(chunk.data())) {
    return Invalid("crc32c is not that of data");
  }
  const int64_t end =
      chunk.offset() + static_cast<int64_t>(chunk.data().size());
  if (chunk.offset() != upload.committed_size() || end > upload.size()) {
    return grpc::Status(grpc::OUT_OF_RANGE, "offset is wrong");
  }
  return grpc::Status::OK;
}

}  // namespace

void MemoryUploads::AddTo(AdminScript* script) {
  script->create_upload = [this](const auto& request, auto* upload) {
    return Create(request, upload);
  };
  script->write_upload = [this](auto& reader, auto* upload) {
    return Write(reader, upload);
  };
  script->get_upload = [this](const auto& request, auto* upload) {
    return Get(request, upload);
  };
  script->finalize_upload = [this](const auto& request, auto* response) {
    return Finalize(request, response);
  };
  const auto exists = [this](const auto& request, auto* response) {
    MutexLock lock(&mutex_);
    const auto found = results_.find(request.name());
    const Result result =
        found == results_.end() ? Result::kIntact : found->second;
    if (result == Result::kDeleted) {
      return grpc::Status(grpc::NOT_FOUND, "deleted");
    }
    response->set_name(request.name());
    if (result == Result::kDamaged) {
      response->mutable_damage()->set_reason("WRONG_DIGEST");
    }
    return grpc::Status::OK;
  };
  script->get_dataset = exists;
  if (!script->get_gate_set) script->get_gate_set = exists;
}

void MemoryUploads::Break(Fault fault) {
  MutexLock lock(&mutex_);
  faults_.push_back(std::move(fault));
}

std::string MemoryUploads::bytes(const std::string& name) const {
  MutexLock lock(&mutex_);
  return entries_.at(name).bytes;
}

std::vector<v1::CreateUploadRequest> MemoryUploads::creations() const {
  MutexLock lock(&mutex_);
  return creations_;
}

std::vector<int64_t> MemoryUploads::stream_offsets() const {
  MutexLock lock(&mutex_);
  return stream_offsets_;
}

void MemoryUploads::DeleteResults() {
  MutexLock lock(&mutex_);
  for (auto& [name, result] : results_) result = Result::kDeleted;
}

void MemoryUploads::DamageResults() {
  MutexLock lock(&mutex_);
  for (auto& [name, result] : results_) result = Result::kDamaged;
}

grpc::Status MemoryUploads::Create(const v1::CreateUploadRequest& request,
                                   v1::Upload* upload) {
  MutexLock lock(&mutex_);
  creations_.push_back(request);
  std::string& name = names_[request.request_id()];
  if (name.empty()) {
    name = absl::StrCat("uploads/", names_.size());
    Entry& entry = entries_[name];
    entry.upload = request.upload();
    entry.upload.set_name(name);
    entry.upload.set_state(v1::UPLOAD_STATE_RECEIVING);
  }
  *upload = entries_[name].upload;
  return grpc::Status::OK;
}

grpc::Status MemoryUploads::Append(const v1::WriteUploadRequest& chunk,
                                   Entry* entry) {
  if (grpc::Status status = CheckChunk(chunk, entry->upload); !status.ok()) {
    return status;
  }
  entry->bytes += chunk.data();
  entry->upload.set_committed_size(static_cast<int64_t>(entry->bytes.size()));
  return grpc::Status::OK;
}

grpc::Status MemoryUploads::Write(
    grpc::ServerReader<v1::WriteUploadRequest>& reader, v1::Upload* upload) {
  Fault fault{-1, grpc::Status::OK};
  std::string name;
  v1::WriteUploadRequest chunk;
  for (int num_chunks = 0; reader.Read(&chunk); ++num_chunks) {
    MutexLock lock(&mutex_);
    if (num_chunks == 0) {
      name = chunk.upload();
      stream_offsets_.push_back(chunk.offset());
      if (!faults_.empty()) {
        fault = faults_.front();
        faults_.pop_front();
      }
    }
    if (num_chunks == fault.num_chunks) return fault.status;
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
      return grpc::Status(grpc::NOT_FOUND, "no such upload");
    }
    if (grpc::Status status = Append(chunk, &found->second); !status.ok()) {
      return status;
    }
    *upload = found->second.upload;
  }
  return grpc::Status::OK;
}

grpc::Status MemoryUploads::Get(const v1::GetUploadRequest& request,
                                v1::Upload* upload) {
  MutexLock lock(&mutex_);
  const auto found = entries_.find(request.name());
  if (found == entries_.end()) {
    return grpc::Status(grpc::NOT_FOUND, "no such upload");
  }
  *upload = found->second.upload;
  return grpc::Status::OK;
}

grpc::Status MemoryUploads::Finalize(const v1::FinalizeUploadRequest& request,
                                     v1::FinalizeUploadResponse* response) {
  MutexLock lock(&mutex_);
  Entry& entry = entries_.at(request.name());
  const std::string& bytes = entry.bytes;
  if (Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()),
                 bytes.size()}) != entry.upload.sha256()) {
    return grpc::Status(grpc::FAILED_PRECONDITION, "incomplete or wrong");
  }
  entry.upload.set_state(v1::UPLOAD_STATE_FINALIZED);
  const std::string id = entry.upload.name().substr(sizeof("uploads/") - 1);
  if (entry.upload.kind() == v1::UPLOAD_KIND_DATASET) {
    v1::Dataset& dataset = *response->mutable_dataset();
    dataset.set_name(absl::StrCat("datasets/", id));
    dataset.set_display_name(entry.upload.display_name());
    entry.upload.set_result(dataset.name());
  } else {
    v1::GateSet& gate_set = *response->mutable_gate_set();
    gate_set.set_name(absl::StrCat("models/m/gateSets/", id));
    entry.upload.set_result(gate_set.name());
  }
  results_.emplace(entry.upload.result(), Result::kIntact);
  return grpc::Status::OK;
}

}  // namespace seer
