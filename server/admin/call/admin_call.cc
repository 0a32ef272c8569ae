#include "server/admin/call/admin_call.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/admin/codec/resource_names.h"
#include "server/grpc/grpc_status.h"
#include "server/random_id.h"

namespace seer {
namespace {

// Of what a client sent as a name, for the log.
constexpr size_t kMaxLoggedBytes = 160;

absl::Status Busy() {
  return WithRetryDelay(
      WithReason(absl::ResourceExhaustedError("too many calls at once"),
                 {"ADMIN_BUSY", std::nullopt, std::nullopt}),
      absl::Seconds(1));
}

}  // namespace

bool AdminCalls::TryAdd(AdminCall* call) {
  MutexLock lock(&mutex_);
  std::set<AdminCall*>& calls = calls_[call->kind()];
  if (calls.size() >= LimitOf(call->kind())) return false;
  calls.insert(call);
  return true;
}

void AdminCalls::Remove(AdminCall* call) {
  MutexLock lock(&mutex_);
  calls_[call->kind()].erase(call);
}

void AdminCalls::CancelStalled(absl::Time now, absl::Duration limit) {
  MutexLock lock(&mutex_);
  for (const auto& [kind, calls] : calls_) {
    for (AdminCall* call : calls) call->CancelIfStalled(now, limit);
  }
}

AdminCall::AdminCall(const AdminCallParts& parts, const char* method,
                     grpc::CallbackServerContext* context, AdminCallKind kind)
    : parts_(parts),
      method_(method),
      context_(context),
      kind_(kind),
      request_id_(NewRandomId()),
      arrival_(absl::Now()) {}

void AdminCall::SetResource(absl::string_view name) {
  resource_ = std::string(name.substr(0, kMaxLoggedBytes));
}

void AdminCall::CancelIfStalled(absl::Time now, absl::Duration limit) {
  MutexLock lock(&mutex_);
  if (waiting_since_ && now - *waiting_since_ >= limit) context_->TryCancel();
}

absl::Status AdminCall::Enter() {
  SEER_RETURN_IF_ERROR(parts_.access->Check(method_, *context_));
  return parts_.calls->TryAdd(this) ? absl::OkStatus() : Busy();
}

grpc::Status AdminCall::End(absl::Status status) {
  status = WithDefaultRetryDelay(WithWireName(std::move(status), parts_.model));
  const auto reason = ReasonOf(status);
  Log(LogLevel::kInfo, "admin request ended",
      {{"request_id", request_id_},
       {"method", method_},
       {"resource", resource_},
       {"peer", context_->peer()},
       {"code", absl::StatusCodeToString(status.code())},
       {"field", FieldOf(status).value_or("")},
       {"reason", reason ? reason->reason : std::string()},
       {"duration_seconds", absl::ToDoubleSeconds(absl::Now() - arrival_)}});
  return ToGrpcStatus(status, request_id_);
}

void AdminCall::BeginWait() {
  MutexLock lock(&mutex_);
  waiting_since_ = absl::Now();
}

void AdminCall::EndWait() {
  MutexLock lock(&mutex_);
  waiting_since_.reset();
}

UnaryAdminCall::UnaryAdminCall(const AdminCallParts& parts, const char* method,
                               AdminCallKind kind,
                               grpc::CallbackServerContext* context,
                               const grpc::ByteBuffer& request,
                               grpc::ByteBuffer* response, Work work)
    : AdminCall(parts, method, context, kind),
      request_(request),
      response_(response),
      work_(std::move(work)) {}

void UnaryAdminCall::Begin(WorkerPool& workers) {
  absl::Status status = Enter();
  if (status.ok() && !workers.TryRun([this] { Run(); })) {
    status = absl::InternalError("the workers have no place for a call");
  }
  if (!status.ok()) Finish(End(std::move(status)));
}

void UnaryAdminCall::Run() {
  const Reply reply = [this](absl::StatusOr<grpc::ByteBuffer> answer) {
    if (answer.ok()) *response_ = *std::move(answer);
    Finish(End(answer.status()));
  };
  if (IsCancelled()) {
    reply(absl::CancelledError("cancelled"));
  } else {
    // A copy: the call may be gone before the work returns.
    const Work work = work_;
    work(request_, *this, reply);
  }
}

void UnaryAdminCall::OnDone() {
  Leave();
  delete this;
}

}  // namespace seer
