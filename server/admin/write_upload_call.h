#ifndef SEER_SERVER_ADMIN_WRITE_UPLOAD_CALL_H_
#define SEER_SERVER_ADMIN_WRITE_UPLOAD_CALL_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/thread/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/admin/call/admin_call.h"
#include "server/catalog/catalog.h"
#include "server/completion/worker_pool.h"
#include "server/metrics/admin_metrics.h"

namespace seer {

// The uploads that a stream writes to, each one alone. Thread-safe.
class UploadWriters {
 public:
  // False: another stream has it.
  bool TryClaim(const std::string& upload_id);
  void Release(const std::string& upload_id);

 private:
  Mutex mutex_;
  std::set<std::string> claimed_ ABSL_GUARDED_BY(mutex_);
};

// What WriteUpload needs. Everything is borrowed.
struct WriteUploadParts {
  Catalog* catalog = nullptr;
  UploadWriters* writers = nullptr;
  WorkerPool* workers = nullptr;
  AdminMetrics* metrics = nullptr;
};

// WriteUpload. The next chunk is asked for when the one before is appended, so
// a fast client is held by gRPC's flow control. However the stream ends, what
// was appended is brought to disk. Deletes itself when it is done.
class WriteUploadCall final : public grpc::ServerReadReactor<grpc::ByteBuffer>,
                              public AdminCall {
 public:
  WriteUploadCall(const AdminCallParts& call, const WriteUploadParts& parts,
                  grpc::CallbackServerContext* context,
                  grpc::ByteBuffer* response);

  // Once, by the RPC's handler.
  void Begin();

  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  void Read();
  // On a worker, one at a time.
  void TakeChunk();
  void EndStream();
  absl::Status Append();
  absl::Status Claim(const v1::WriteUploadRequest& first);
  absl::Status Answer();

  const WriteUploadParts& upload_parts_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer chunk_;  // being read

  // The workers' alone.
  std::string id_;   // "": no message came yet
  int64_t end_ = 0;  // of the last chunk, bytes
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_WRITE_UPLOAD_CALL_H_
