#ifndef SEER_SERVER_ADMIN_GATE_ADMIN_SERVICE_H_
#define SEER_SERVER_ADMIN_GATE_ADMIN_SERVICE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/gate_control.h"
#include "grpcpp/support/byte_buffer.h"
#include "proto/seer/v1/gate_admin.grpc.pb.h"
#include "server/admin/calibration_job_methods.h"
#include "server/admin/call/admin_access.h"
#include "server/admin/call/admin_call.h"
#include "server/admin/gate_set_methods.h"
#include "server/admin/rollout/rollout_control.h"
#include "server/admin/upload_methods.h"
#include "server/admin/write_upload_call.h"
#include "server/catalog/catalog.h"
#include "server/completion/worker_pool.h"
#include "server/metrics/admin_metrics.h"

namespace seer {

// seer.v1.GateAdminService. What touches the disk or the engine is done by
// workers of its own, never by gRPC's threads. Must outlive the gRPC server
// that it is registered with.
class GateAdminService final : public v1::GateAdminService::Service {
 public:
  struct Options {
    AdminAccessOptions access;
    // Calls at once; more are RESOURCE_EXHAUSTED. Bounds the memory they hold
    // to as many MiB. [1, 4096]. As many watches of jobs may be beside them,
    // and a few calls that read the rollout, roll it back or cancel a job.
    int max_calls = 64;
    // A stream that waits for its client for so long is cancelled: it would
    // keep others from its upload. At least a second.
    absl::Duration max_stall = absl::Seconds(60);
    // Between two looks for uploads that nobody wrote to any more. At least a
    // second.
    absl::Duration expiry_period = absl::Minutes(1);

    absl::Status Validate() const;
  };

  // What it serves. Everything is borrowed.
  struct Parts {
    Catalog* catalog = nullptr;
    const GateControl* gates = nullptr;
    RolloutControl* rollouts = nullptr;
    // Null: jobs are UNIMPLEMENTED.
    CalibrationJobMethods* jobs = nullptr;
    AdminMetrics* metrics = nullptr;
    std::string model;  // the {model} of names
    int32_t vocab_size = 0;
  };

  // `options` must be valid.
  GateAdminService(const Parts& parts, const Options& options);
  // Waits for the work in progress.
  ~GateAdminService() override;

 private:
  // Has calls of `method` answered by `work`, on one of these workers.
  void ServeUnary(const char* method, WorkerPool& workers,
                  UnaryAdminCall::Work work);
  template <typename Request, typename Response, typename Methods>
  void Serve(const char* method, WorkerPool& workers, Methods* methods,
             absl::StatusOr<Response> (Methods::*answer)(const Request&,
                                                         AdminCall&));
  void ServeUploads();
  void ServeGateSets();
  void ServeJobs();
  void ServeStreams();
  void Sweep();
  void SweepOnce(absl::Time now);

  const Options options_;
  const Parts parts_;
  const AdminAccess access_;
  AdminCalls calls_;
  const AdminCallParts call_parts_;
  UploadMethods uploads_;
  GateSetMethods gate_sets_;
  UploadWriters writers_;
  const WriteUploadParts write_parts_;

  Mutex mutex_;
  CondVar stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Below what they work with. `slow_workers_` read whole files, of gigabytes;
  // nobody else waits behind that. `rollout_worker_` changes the rollout, which
  // is one change at a time.
  WorkerPool workers_;
  WorkerPool slow_workers_;
  WorkerPool rollout_worker_;
  std::thread sweeper_;
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_GATE_ADMIN_SERVICE_H_
