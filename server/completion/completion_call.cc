#include "server/completion/completion_call.h"

#include <chrono>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/codec/policy_codec.h"
#include "server/codec/request_codec.h"
#include "server/completion/raw_message.h"
#include "server/grpc/grpc_status.h"
#include "server/random_id.h"

namespace seer {
namespace {

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return absl::InfiniteFuture();
  }
  return absl::FromChrono(deadline);
}

// Whether a call that ends at `now` ends for its deadline. Clients count from a
// little earlier and to the millisecond, while the timeout that they send is
// rounded up by as much as a hundredth.
bool IsPast(absl::Time deadline, absl::Time arrival, absl::Time now) {
  if (deadline == absl::InfiniteFuture()) return false;
  return now >= deadline - (deadline - arrival) / 50 - absl::Milliseconds(20);
}

absl::Status SlowReader() {
  return WithReason(
      absl::ResourceExhaustedError("the client did not read for too long"),
      {"SLOW_READER", std::nullopt, std::nullopt});
}

absl::Status TokenizerBusy() {
  return WithRetryDelay(
      WithReason(absl::ResourceExhaustedError("too many long texts wait"),
                 {"TOKENIZER_BUSY", std::nullopt, std::nullopt}),
      absl::Seconds(1));
}

}  // namespace

void CallRegistry::Add(CompletionCall* call) {
  MutexLock lock(&mutex_);
  calls_.insert(call);
}

void CallRegistry::Remove(CompletionCall* call) {
  MutexLock lock(&mutex_);
  calls_.erase(call);
}

void CallRegistry::CancelStalled(absl::Time now, absl::Duration limit) {
  MutexLock lock(&mutex_);
  for (CompletionCall* call : calls_) call->CancelIfStalled(now, limit);
}

CompletionCall::CompletionCall(const CompletionParts& parts, Method method,
                               grpc::CallbackServerContext* context,
                               const grpc::ByteBuffer& request)
    : parts_(parts),
      arrival_(absl::Now()),
      context_(context),
      parsed_(ParseMessage(request, request_)),
      reply_{NewRandomId(), request_.has_sparsity()},
      record_(parts.metrics, method, reply_.request_id, arrival_) {
  parts_.registry->Add(this);
}

CompletionCall::~CompletionCall() = default;

void CompletionCall::Begin() {
  if (!parsed_.ok()) return EndBegin(parsed_);
  {
    MutexLock lock(&mutex_);
    record_.OnAsked(AskedBudget());
  }
  absl::StatusOr<GenerationRequest> options =
      DecodeOptions(request_, *parts_.context);
  if (!options.ok()) return EndBegin(options.status());
  generation_ = *std::move(options);
  generation_.request_id = reply_.request_id;
  generation_.deadline = DeadlineOf(*context_);
  {
    MutexLock lock(&mutex_);
    record_.OnDecoded(generation_);
  }
  auto decode_and_submit = [this] {
    if (absl::Status status = DecodeAndSubmit(); !status.ok()) {
      EndBegin(std::move(status));
    }
  };
  if (PromptTextBytes(request_) <= parts_.inline_text_bytes) {
    decode_and_submit();
  } else if (!parts_.workers->TryRun(decode_and_submit)) {
    EndBegin(TokenizerBusy());
  }
}

BudgetKind CompletionCall::AskedBudget() const {
  if (request_.has_sparsity()) return seer::AskedBudget(request_.sparsity());
  const auto& by_default = parts_.context->default_policy;
  return by_default ? by_default->budget.kind : BudgetKind::kDense;
}

absl::Status CompletionCall::DecodeAndSubmit() {
  {
    MutexLock lock(&mutex_);
    if (cancelled_) return CancelStatus();
  }
  SEER_RETURN_IF_ERROR(DecodePrompt(request_, *parts_.context, generation_));
  {
    MutexLock lock(&mutex_);
    record_.OnDecoded(generation_);
    if (parts_.guard != nullptr) {
      sample_ = parts_.guard->Choose(AskedBudget(), generation_);
    }
  }
  absl::StatusOr<std::unique_ptr<TokenStream>> stream =
      parts_.engine->Submit(std::move(generation_));
  if (!stream.ok()) return InWireTerms(stream.status(), request_);
  EndBegin(std::move(stream));
  return absl::OkStatus();
}

void CompletionCall::EndBegin(
    absl::StatusOr<std::unique_ptr<TokenStream>> stream) {
  // Before the stream is seen by other threads; until begun_, Pump does
  // nothing.
  if (stream.ok()) (*stream)->OnReady([this] { Pump(); });
  Operation operation = Operation::kNone;
  std::unique_ptr<TokenStream> unwanted;
  {
    MutexLock lock(&mutex_);
    if (!stream.ok()) {
      end_ = stream.status();
    } else {
      record_.OnAdmitted();
      (cancelled_ ? unwanted : stream_) = *std::move(stream);
    }
    if (!unwanted) {
      begun_ = true;
      operation = NextOperation();
    }
  }
  if (unwanted) {
    // Its callback may be running: the stream has to be gone before the call
    // may end.
    unwanted.reset();
    MutexLock lock(&mutex_);
    begun_ = true;
    operation = NextOperation();
  }
  Start(operation);
}

void CompletionCall::Pump() {
  Operation operation = Operation::kNone;
  {
    MutexLock lock(&mutex_);
    operation = NextOperation();
  }
  Start(operation);
}

CompletionCall::Operation CompletionCall::NextOperation() {
  if (!begun_ || finishing_ || writing_) return Operation::kNone;
  while (true) {
    if (cancelled_ && (!end_ || end_->ok())) end_ = CancelStatus();
    if (!cancelled_ && PrepareWrite()) {
      writing_ = absl::Now();
      return Operation::kWrite;
    }
    if (end_) {
      finishing_ = true;
      return Operation::kFinish;
    }
    Event event;
    if (stream_ == nullptr || !stream_->TryNext(&event)) {
      return Operation::kNone;
    }
    Receive(event);
  }
}

void CompletionCall::Receive(Event& event) {
  record_.OnEvent(event, absl::Now());
  if (sample_ != nullptr && sample_->Take(event)) return;
  if (const auto* failure = std::get_if<FailureEvent>(&event)) {
    end_ = failure->status.ok() ? absl::InternalError("failed without a reason")
                                : failure->status;
    return;
  }
  absl::Status status = Take(event);
  if (!status.ok() || IsLast(event)) end_ = std::move(status);
}

void CompletionCall::Start(Operation operation) {
  switch (operation) {
    case Operation::kNone:
      return;
    case Operation::kWrite:
      SendWrite();
      return;
    case Operation::kFinish: {
      grpc::Status status;
      {
        MutexLock lock(&mutex_);
        // Before the client is told: who reads the end finds it counted.
        record_.OnEnd(*end_, absl::Now());
        if (sample_ != nullptr) parts_.guard->Compare(std::move(sample_));
        status = ToGrpcStatus(WithDefaultRetryDelay(*end_), reply_.request_id);
      }
      SendFinish(status);
      return;
    }
  }
}

absl::Status CompletionCall::CancelStatus() const {
  if (stalled_) return SlowReader();
  if (IsPast(DeadlineOf(*context_), arrival_, absl::Now())) {
    return absl::DeadlineExceededError("the deadline passed");
  }
  return absl::CancelledError("the client cancelled");
}

void CompletionCall::CancelIfStalled(absl::Time now, absl::Duration limit) {
  {
    MutexLock lock(&mutex_);
    if (!writing_ || now - *writing_ < limit || stalled_) return;
    stalled_ = true;
  }
  context_->TryCancel();
}

void CompletionCall::OnWriteEnded(bool ok) {
  {
    MutexLock lock(&mutex_);
    writing_.reset();
    if (!ok) cancelled_ = true;
  }
  Pump();
}

void CompletionCall::OnCallCancelled() {
  std::unique_ptr<TokenStream> stream;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    stream = std::move(stream_);
  }
  // The engine frees the request's pages although a write may still wait.
  stream.reset();
  Pump();
}

void CompletionCall::OnCallDone() {
  parts_.registry->Remove(this);
  std::unique_ptr<TokenStream> stream;
  {
    MutexLock lock(&mutex_);
    stream = std::move(stream_);
  }
  stream.reset();
}

}  // namespace seer
