#ifndef SEER_SERVER_COMPLETION_COMPLETION_CALL_H_
#define SEER_SERVER_COMPLETION_COMPLETION_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/engine.h"
#include "engine/sparsity_policy.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"
#include "proto/seer/v1/completion.pb.h"
#include "server/codec/event_codec.h"
#include "server/codec/request_context.h"
#include "server/completion/request_record.h"
#include "server/completion/worker_pool.h"
#include "server/metrics/metrics.h"
#include "server/quality_guard/quality_guard.h"

namespace seer {

class CompletionCall;

// The completions in progress. Thread-safe.
class CallRegistry {
 public:
  void Add(CompletionCall* call);
  void Remove(CompletionCall* call);
  // Cancels the calls whose last write has not been taken for `limit`.
  void CancelStalled(absl::Time now, absl::Duration limit);

 private:
  Mutex mutex_;
  absl::flat_hash_set<CompletionCall*> calls_ ABSL_GUARDED_BY(mutex_);
};

// What every completion uses. Everything is borrowed.
struct CompletionParts {
  Engine* engine = nullptr;
  const RequestContext* context = nullptr;
  WorkerPool* workers = nullptr;
  Metrics* metrics = nullptr;
  CallRegistry* registry = nullptr;
  QualityGuard* guard = nullptr;  // null: none
  int64_t inline_text_bytes = 0;  // longer prompts are read by `workers`
};

// One Complete or CompleteOnce: decodes, submits, and turns events into writes,
// one at a time and only while the client takes them. The derived classes are
// the gRPC reactors. docs/design/completion_call.md explains the lifetime.
//
// Three kinds of threads meet here: gRPC's (reactions), the engine's delivery
// thread (events are ready) and a worker (the prompt is decoded). Each changes
// the state under the lock, decides there on at most one operation, and starts
// it after letting the lock go.
class CompletionCall {
 public:
  CompletionCall(const CompletionParts& parts, Method method,
                 grpc::CallbackServerContext* context,
                 const grpc::ByteBuffer& request);
  virtual ~CompletionCall();
  CompletionCall(const CompletionCall&) = delete;
  CompletionCall& operator=(const CompletionCall&) = delete;

  // Decodes and submits, here or on a worker. Once, by the RPC's handler.
  void Begin();

  // See CallRegistry.
  void CancelIfStalled(absl::Time now, absl::Duration limit);

 protected:
  // gRPC's reactions. After OnCallDone nothing else may be called.
  void OnWriteEnded(bool ok);
  void OnCallCancelled();
  void OnCallDone();

  const ReplyContext& reply() const { return reply_; }
  const CompletionParts& parts() const { return parts_; }

 private:
  enum class Operation { kNone, kWrite, kFinish };

  // Adds an event to what is to be sent. An error ends the call. Called one at
  // a time, as PrepareWrite is.
  virtual absl::Status Take(const Event& event) = 0;
  // Makes the next message ready; false where there is none.
  virtual bool PrepareWrite() = 0;
  // Start an operation of gRPC. Never called with the lock held.
  virtual void SendWrite() = 0;
  virtual void SendFinish(const grpc::Status& status) = 0;

  BudgetKind AskedBudget() const;
  absl::Status DecodeAndSubmit();
  void EndBegin(absl::StatusOr<std::unique_ptr<TokenStream>> stream);
  // Starts whatever can be started now. `this` may be gone afterwards.
  void Pump();
  Operation NextOperation() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Receive(Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Start(Operation operation);
  absl::Status CancelStatus() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CompletionParts parts_;
  const absl::Time arrival_;
  grpc::CallbackServerContext* const context_;
  v1::CompleteRequest request_;
  const absl::Status parsed_;
  const ReplyContext reply_;
  GenerationRequest generation_;  // until submitted

  Mutex mutex_;
  RequestRecord record_ ABSL_GUARDED_BY(mutex_);
  // Null: the guard did not choose the request, or has it back.
  std::unique_ptr<GuardSample> sample_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<TokenStream> stream_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  // When the write in progress was started.
  std::optional<absl::Time> writing_ ABSL_GUARDED_BY(mutex_);
  // How the call ends, once that is known.
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_SERVER_COMPLETION_COMPLETION_CALL_H_
