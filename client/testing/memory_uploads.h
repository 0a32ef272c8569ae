// The uploads of a scripted admin server, as the wire's contract says, with
// faults where a test wants them.
#ifndef SEER_CLIENT_TESTING_MEMORY_UPLOADS_H_
#define SEER_CLIENT_TESTING_MEMORY_UPLOADS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/thread/mutex.h"
#include "client/testing/scripted_admin_server.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// Thread-safe.
class MemoryUploads {
 public:
  // How one stream ends.
  struct Fault {
    // Chunks that are committed before it.
    int num_chunks = 0;
    grpc::Status status;
  };

  // Sets the four methods of an upload, get_dataset, and get_gate_set where
  // the script has none yet. This must outlive the server.
  void AddTo(AdminScript* script);

  // The next stream ends so, one after the other.
  void Break(Fault fault);

  // Bytes of an upload.
  std::string bytes(const std::string& name) const;
  std::vector<v1::CreateUploadRequest> creations() const;
  // The offset of each stream's first chunk.
  std::vector<int64_t> stream_offsets() const;
  // What came of uploads until now is forgotten, as if it had been deleted.
  void DeleteResults();
  // What came of uploads until now is damaged.
  void DamageResults();

 private:
  struct Entry {
    v1::Upload upload;
    std::string bytes;
  };

  grpc::Status Create(const v1::CreateUploadRequest& request,
                      v1::Upload* upload);
  grpc::Status Write(grpc::ServerReader<v1::WriteUploadRequest>& reader,
                     v1::Upload* upload);
  grpc::Status Append(const v1::WriteUploadRequest& chunk, Entry* entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  grpc::Status Get(const v1::GetUploadRequest& request, v1::Upload* upload);
  grpc::Status Finalize(const v1::FinalizeUploadRequest& request,
                        v1::FinalizeUploadResponse* response);

  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);  // by name
  std::map<std::string, std::string> names_
      ABSL_GUARDED_BY(mutex_);  // by request id
  std::deque<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::CreateUploadRequest> creations_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> stream_offsets_ ABSL_GUARDED_BY(mutex_);
  // Of what came of uploads, by name. Other names are taken for intact ones.
  enum class Result { kIntact, kDamaged, kDeleted };
  std::map<std::string, Result> results_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_CLIENT_TESTING_MEMORY_UPLOADS_H_
