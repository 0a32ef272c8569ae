#ifndef SEER_SERVER_ADMIN_DOWNLOAD_GATE_SET_CALL_H_
#define SEER_SERVER_ADMIN_DOWNLOAD_GATE_SET_CALL_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file/sequential_file.h"
#include "base/hash/sha256.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/admin/call/admin_call.h"
#include "server/catalog/catalog.h"
#include "server/completion/worker_pool.h"

namespace seer {

// DownloadGateSet. A chunk is read when the one before is written, so a slow
// client costs a chunk. Deletes itself when it is done.
class DownloadGateSetCall final
    : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
      public AdminCall {
 public:
  // `catalog` and `workers` are borrowed.
  DownloadGateSetCall(const AdminCallParts& call, Catalog* catalog,
                      WorkerPool* workers, grpc::CallbackServerContext* context,
                      const grpc::ByteBuffer& request);

  // Once, by the RPC's handler.
  void Begin();

  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  // Has a worker send the next chunk, or end the call.
  void Continue();
  // On a worker, one at a time.
  void SendNext();
  absl::Status Open();
  // False: that was all, and it was what the catalog says.
  absl::StatusOr<bool> PrepareChunk();

  Catalog* const catalog_;
  WorkerPool* const workers_;
  const grpc::ByteBuffer request_;
  grpc::ByteBuffer chunk_;  // being written

  // The workers' alone.
  GateSetRecord gate_set_;
  std::optional<SequentialFile> file_;
  Sha256 digest_;
  int64_t offset_ = 0;  // bytes sent
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_DOWNLOAD_GATE_SET_CALL_H_
