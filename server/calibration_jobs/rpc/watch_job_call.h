#ifndef SEER_SERVER_CALIBRATION_JOBS_RPC_WATCH_JOB_CALL_H_
#define SEER_SERVER_CALIBRATION_JOBS_RPC_WATCH_JOB_CALL_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/thread/mutex.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/admin/call/admin_call.h"
#include "server/calibration_jobs/job_watches.h"

namespace seer {

// WatchCalibrationJob: a frame whenever the watches show news, one at a time.
// No thread waits for it. Deletes itself when it is done.
class WatchJobCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                           public AdminCall {
 public:
  // `watches` is borrowed and outlives the call.
  WatchJobCall(const AdminCallParts& call, JobWatches* watches,
               grpc::CallbackServerContext* context,
               const grpc::ByteBuffer& request);

  // Once, by the RPC's handler.
  void Begin();

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // What the watches know of the call, and may for longer than it lives. Who
  // brings news decides under its lock on one operation of gRPC and starts it
  // afterwards; gRPC deletes the call only once it has been finished, and
  // nobody finishes it while a write is under way.
  class Frames final : public JobWatcher {
   public:
    explicit Frames(WatchJobCall* call) : call_(call) {}

    bool Show(const absl::StatusOr<JobView>& job) override;
    // True: the caller is to finish the call. False: it is being finished, or
    // will be, when its write has ended.
    bool Cancel();
    // The same; false also where there may be further frames.
    bool EndWrite(bool ok);

   private:
    Mutex mutex_;
    WatchJobCall* call_ ABSL_GUARDED_BY(mutex_);  // null: it is being finished
    bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
    bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
    std::string last_ ABSL_GUARDED_BY(mutex_);  // frame, serialized
    // Being written; untouched meanwhile.
    grpc::ByteBuffer frame_;
  };

  absl::Status Watch();
  void FinishWith(absl::Status status);

  JobWatches* const watches_;
  const grpc::ByteBuffer request_;
  const std::shared_ptr<Frames> frames_;
};

}  // namespace seer

#endif  // SEER_SERVER_CALIBRATION_JOBS_RPC_WATCH_JOB_CALL_H_
