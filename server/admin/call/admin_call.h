// What all calls of GateAdminService have in common.
#ifndef SEER_SERVER_ADMIN_CALL_ADMIN_CALL_H_
#define SEER_SERVER_ADMIN_CALL_ADMIN_CALL_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/status.h"
#include "server/admin/call/admin_access.h"
#include "server/completion/worker_pool.h"

namespace seer {

class AdminCall;

// None of these takes another's place.
enum class AdminCallKind {
  kPlain,
  kUrgent,  // short, and what an operator needs when things go wrong
  kWatch,   // long, and holds next to nothing
};

// The calls in progress: not too many of a kind, and none that waits for ever
// for its client. Thread-safe.
class AdminCalls {
 public:
  static constexpr size_t kMaxUrgentCalls = 8;

  // `max_calls` plain ones, as many watches, kMaxUrgentCalls urgent ones.
  explicit AdminCalls(size_t max_calls) : max_calls_(max_calls) {}

  // False: there are too many.
  bool TryAdd(AdminCall* call);
  void Remove(AdminCall* call);
  // Cancels the calls that have waited so long for their client.
  void CancelStalled(absl::Time now, absl::Duration limit);

 private:
  size_t LimitOf(AdminCallKind kind) const {
    return kind == AdminCallKind::kUrgent ? kMaxUrgentCalls : max_calls_;
  }

  const size_t max_calls_;
  Mutex mutex_;
  std::map<AdminCallKind, std::set<AdminCall*>> calls_ ABSL_GUARDED_BY(mutex_);
};

// What calls need of the service. Everything is borrowed.
struct AdminCallParts {
  const AdminAccess* access = nullptr;
  AdminCalls* calls = nullptr;
  std::string model;  // the {model} that is served
};

// One call, from its arrival to its end: whether it may be made, and its line
// in the log. The reactors derive from it. Its work is done by workers, one
// task at a time, so that a pool with a place for each of AdminCalls' calls
// never refuses one.
class AdminCall {
 public:
  AdminCall(const AdminCallParts& parts, const char* method,
            grpc::CallbackServerContext* context,
            AdminCallKind kind = AdminCallKind::kPlain);
  virtual ~AdminCall() = default;
  AdminCall(const AdminCall&) = delete;
  AdminCall& operator=(const AdminCall&) = delete;

  AdminCallKind kind() const { return kind_; }

  // Whether the client is gone, or its deadline. Thread-safe.
  bool IsCancelled() const { return context_->IsCancelled(); }

  // What the call is about, for the log. One thread at a time.
  void SetResource(absl::string_view name);

  // See AdminCalls.
  void CancelIfStalled(absl::Time now, absl::Duration limit);

 protected:
  // UNAUTHENTICATED, PERMISSION_DENIED. RESOURCE_EXHAUSTED, ADMIN_BUSY.
  absl::Status Enter();
  // The answer as gRPC sends it; logs it. Once.
  grpc::Status End(absl::Status status);
  // After gRPC is done with the call; nothing else may be called then.
  void Leave() { parts_.calls->Remove(this); }

  // Between these the call waits for a message to be sent or taken.
  void BeginWait();
  void EndWait();

  const AdminCallParts& parts() const { return parts_; }

 private:
  const AdminCallParts& parts_;
  const char* const method_;
  grpc::CallbackServerContext* const context_;
  const AdminCallKind kind_;
  const std::string request_id_;
  const absl::Time arrival_;
  std::string resource_;

  Mutex mutex_;
  std::optional<absl::Time> waiting_since_ ABSL_GUARDED_BY(mutex_);
};

// A unary call. Deletes itself when it is done.
class UnaryAdminCall final : public grpc::ServerUnaryReactor, public AdminCall {
 public:
  using Reply = std::function<void(absl::StatusOr<grpc::ByteBuffer>)>;
  // Runs on a worker. Replies once, there or later, from any thread; the call
  // may be gone then.
  using Work = std::function<void(const grpc::ByteBuffer& request,
                                  AdminCall& call, const Reply& reply)>;

  // `response` is gRPC's.
  UnaryAdminCall(const AdminCallParts& parts, const char* method,
                 AdminCallKind kind, grpc::CallbackServerContext* context,
                 const grpc::ByteBuffer& request, grpc::ByteBuffer* response,
                 Work work);

  // Once, by the RPC's handler.
  void Begin(WorkerPool& workers);

  void OnDone() override;

 private:
  void Run();

  const grpc::ByteBuffer request_;
  grpc::ByteBuffer* const response_;
  const Work work_;
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_CALL_ADMIN_CALL_H_
