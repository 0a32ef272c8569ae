#include "server/admin/gate_admin_service.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/admin/download_gate_set_call.h"
#include "server/completion/raw_message.h"

namespace seer {
namespace {

// The disk is one; a second thread goes on while one waits for a sync.
constexpr int kNumWorkers = 2;
constexpr int kNumSlowWorkers = 2;

// What rolling back and cancelling take, from the first look to the act.
constexpr const char* kUrgentMethods[] = {
    "GetGateRollout", "RollbackGateRollout", "CancelCalibrationJob"};

AdminCallKind KindOf(absl::string_view method) {
  const auto* const end = std::end(kUrgentMethods);
  return std::find(std::begin(kUrgentMethods), end, method) == end
             ? AdminCallKind::kPlain
             : AdminCallKind::kUrgent;
}

// A pool with so many places never refuses a call.
size_t MostTasks(const GateAdminService::Options& options) {
  return static_cast<size_t>(options.max_calls) + AdminCalls::kMaxUrgentCalls;
}

// How gRPC numbers a method: by its place in the .proto file.
int IndexOf(const char* method) {
  return v1::Upload::descriptor()
      ->file()
      ->service(0)
      ->FindMethodByName(method)
      ->index();
}

constexpr const char* kJobMethods[] = {
    "CreateCalibrationJob", "GetCalibrationJob",    "ListCalibrationJobs",
    "PauseCalibrationJob",  "ResumeCalibrationJob", "CancelCalibrationJob"};

absl::Status NoJobs() {
  return absl::UnimplementedError("this server runs no calibration jobs");
}

// Ends a watch of a server without jobs.
class RefusedWatch final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                           public AdminCall {
 public:
  RefusedWatch(const AdminCallParts& parts,
               grpc::CallbackServerContext* context)
      : AdminCall(parts, "WatchCalibrationJob", context,
                  AdminCallKind::kWatch) {}
  void Begin() {
    absl::Status status = Enter();
    Finish(End(status.ok() ? NoJobs() : std::move(status)));
  }
  void OnDone() override {
    Leave();
    delete this;
  }
};

}  // namespace

absl::Status GateAdminService::Options::Validate() const {
  SEER_RETURN_IF_ERROR(access.Validate());
  if (max_calls < 1 || max_calls > 4096) {
    return absl::InvalidArgumentError("max_calls must be in [1, 4096]");
  }
  if (max_stall < absl::Seconds(1) || expiry_period < absl::Seconds(1)) {
    return absl::InvalidArgumentError(
        "max_stall and expiry_period must be at least 1s");
  }
  return absl::OkStatus();
}

GateAdminService::GateAdminService(const Parts& parts, const Options& options)
    : options_(options),
      parts_(parts),
      access_(options.access),
      calls_(static_cast<size_t>(options.max_calls)),
      call_parts_{&access_, &calls_, parts.model},
      uploads_(parts.catalog, parts.gates, parts.model, parts.vocab_size),
      gate_sets_(parts.catalog, parts.rollouts, parts.model),
      write_parts_{parts.catalog, &writers_, &workers_, parts.metrics},
      workers_(kNumWorkers, MostTasks(options)),
      slow_workers_(kNumSlowWorkers, MostTasks(options)),
      rollout_worker_(1, MostTasks(options)) {
  ServeUploads();
  ServeGateSets();
  ServeJobs();
  ServeStreams();
  sweeper_ = std::thread([this] { Sweep(); });
}

GateAdminService::~GateAdminService() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    stopped_.NotifyAll();
  }
  sweeper_.join();
}

void GateAdminService::ServeUnary(const char* method, WorkerPool& workers,
                                  UnaryAdminCall::Work work) {
  MarkMethodRawCallback(
      IndexOf(method),
      new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer,
                                               grpc::ByteBuffer>(
          [this, method, &workers, work](grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) {
            auto* call = new UnaryAdminCall(call_parts_, method, KindOf(method),
                                            context, *request, response, work);
            call->Begin(workers);
            return call;
          }));
}

template <typename Request, typename Response, typename Methods>
void GateAdminService::Serve(
    const char* method, WorkerPool& workers, Methods* methods,
    absl::StatusOr<Response> (Methods::*answer)(const Request&, AdminCall&)) {
  ServeUnary(method, workers,
             [methods, answer](const grpc::ByteBuffer& bytes, AdminCall& call,
                               const UnaryAdminCall::Reply& reply) {
               Request request;
               const absl::Status parsed = ParseMessage(bytes, request);
               if (!parsed.ok()) return reply(parsed);
               const absl::StatusOr<Response> response =
                   (methods->*answer)(request, call);
               if (!response.ok()) return reply(response.status());
               reply(SerializeMessage(*response));
             });
}

void GateAdminService::ServeUploads() {
  using M = UploadMethods;
  Serve("CreateUpload", workers_, &uploads_, &M::CreateUpload);
  Serve("GetUpload", workers_, &uploads_, &M::GetUpload);
  Serve("ListUploads", workers_, &uploads_, &M::ListUploads);
  Serve("DeleteUpload", workers_, &uploads_, &M::DeleteUpload);
  Serve("FinalizeUpload", slow_workers_, &uploads_, &M::FinalizeUpload);
  Serve("GetDataset", workers_, &uploads_, &M::GetDataset);
  Serve("ListDatasets", workers_, &uploads_, &M::ListDatasets);
  Serve("DeleteDataset", workers_, &uploads_, &M::DeleteDataset);
}

void GateAdminService::ServeGateSets() {
  using M = GateSetMethods;
  Serve("GetGateSet", workers_, &gate_sets_, &M::GetGateSet);
  Serve("ListGateSets", workers_, &gate_sets_, &M::ListGateSets);
  Serve("DeleteGateSet", workers_, &gate_sets_, &M::DeleteGateSet);
  Serve("ValidateGateSet", slow_workers_, &gate_sets_, &M::ValidateGateSet);
  Serve("GetGateRollout", workers_, &gate_sets_, &M::GetGateRollout);
  Serve("UpdateGateRollout", rollout_worker_, &gate_sets_,
        &M::UpdateGateRollout);
  Serve("RollbackGateRollout", rollout_worker_, &gate_sets_,
        &M::RollbackGateRollout);
  Serve("ListGateRolloutRevisions", workers_, &gate_sets_,
        &M::ListGateRolloutRevisions);
}

void GateAdminService::ServeJobs() {
  CalibrationJobMethods* const jobs = parts_.jobs;
  if (jobs == nullptr) {
    for (const char* method : kJobMethods) {
      ServeUnary(method, workers_,
                 [](const grpc::ByteBuffer&, AdminCall&,
                    const UnaryAdminCall::Reply& reply) { reply(NoJobs()); });
    }
    return;
  }
  using M = CalibrationJobMethods;
  Serve("CreateCalibrationJob", workers_, jobs, &M::CreateCalibrationJob);
  Serve("GetCalibrationJob", workers_, jobs, &M::GetCalibrationJob);
  Serve("ListCalibrationJobs", workers_, jobs, &M::ListCalibrationJobs);
  Serve("ResumeCalibrationJob", workers_, jobs, &M::ResumeCalibrationJob);
  Serve("CancelCalibrationJob", workers_, jobs, &M::CancelCalibrationJob);
  ServeUnary("PauseCalibrationJob", workers_,
             [jobs](const grpc::ByteBuffer& bytes, AdminCall& call,
                    const UnaryAdminCall::Reply& reply) {
               v1::PauseCalibrationJobRequest request;
               const absl::Status parsed = ParseMessage(bytes, request);
               if (!parsed.ok()) return reply(parsed);
               jobs->PauseCalibrationJob(
                   request, call,
                   [reply](const absl::StatusOr<v1::CalibrationJob>& job) {
                     if (!job.ok()) return reply(job.status());
                     reply(SerializeMessage(*job));
                   });
             });
}

void GateAdminService::ServeStreams() {
  MarkMethodRawCallback(
      IndexOf("WriteUpload"),
      new grpc::internal::CallbackClientStreamingHandler<grpc::ByteBuffer,
                                                         grpc::ByteBuffer>(
          [this](grpc::CallbackServerContext* context,
                 grpc::ByteBuffer* response) {
            auto* call = new WriteUploadCall(call_parts_, write_parts_, context,
                                             response);
            call->Begin();
            return call;
          }));
  MarkMethodRawCallback(
      IndexOf("DownloadGateSet"),
      new grpc::internal::CallbackServerStreamingHandler<grpc::ByteBuffer,
                                                         grpc::ByteBuffer>(
          [this](grpc::CallbackServerContext* context,
                 const grpc::ByteBuffer* request) {
            auto* call = new DownloadGateSetCall(call_parts_, parts_.catalog,
                                                 &workers_, context, *request);
            call->Begin();
            return call;
          }));
  MarkMethodRawCallback(
      IndexOf("WatchCalibrationJob"),
      new grpc::internal::CallbackServerStreamingHandler<grpc::ByteBuffer,
                                                         grpc::ByteBuffer>(
          [this](grpc::CallbackServerContext* context,
                 const grpc::ByteBuffer* request)
              -> grpc::ServerWriteReactor<grpc::ByteBuffer>* {
            if (parts_.jobs != nullptr) {
              return parts_.jobs->WatchCalibrationJob(call_parts_, context,
                                                      *request);
            }
            auto* refused = new RefusedWatch(call_parts_, context);
            refused->Begin();
            return refused;
          }));
}

void GateAdminService::Sweep() {
  const absl::Duration period =
      std::min(options_.max_stall / 4, absl::Seconds(1));
  absl::Time next_expiry = absl::Now();
  while (true) {
    const absl::Time now = absl::Now();
    calls_.CancelStalled(now, options_.max_stall);
    if (now >= next_expiry) {
      SweepOnce(now);
      next_expiry = now + options_.expiry_period;
    }
    MutexLock lock(&mutex_);
    if (!stopping_) stopped_.WaitWithTimeout(&mutex_, period);
    if (stopping_) return;
  }
}

void GateAdminService::SweepOnce(absl::Time now) {
  parts_.rollouts->Reconcile();
  const absl::StatusOr<int64_t> expired = parts_.catalog->ExpireUploads(now);
  if (!expired.ok()) {
    Log(LogLevel::kWarning, "uploads could not expire",
        {{"error", expired.status().ToString()}});
  } else if (*expired > 0) {
    Log(LogLevel::kInfo, "uploads expired", {{"num_uploads", *expired}});
  }
}

}  // namespace seer
