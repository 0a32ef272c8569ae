#include "server/completion/completion_reactors.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/errors.h"
#include "server/completion/raw_message.h"

namespace seer {

CompleteReactor::CompleteReactor(const CompletionParts& parts,
                                 grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer& request)
    : CompletionCall(parts, Method::kComplete, context, request) {}

void CompleteReactor::OnWriteDone(bool ok) { OnWriteEnded(ok); }

void CompleteReactor::OnCancel() { OnCallCancelled(); }

void CompleteReactor::OnDone() {
  OnCallDone();
  delete this;
}

absl::Status CompleteReactor::Take(const Event& event) {
  std::vector<v1::CompleteResponse> frames;
  AppendFrames(event, reply(), frames);
  std::move(frames.begin(), frames.end(), std::back_inserter(frames_));
  return absl::OkStatus();
}

bool CompleteReactor::PrepareWrite() {
  if (frames_.empty()) return false;
  current_ = SerializeMessage(frames_.front());
  frames_.pop_front();
  return true;
}

void CompleteReactor::SendWrite() { StartWrite(&current_); }

void CompleteReactor::SendFinish(const grpc::Status& status) { Finish(status); }

CompleteOnceReactor::CompleteOnceReactor(const CompletionParts& parts,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer* response)
    : CompletionCall(parts, Method::kCompleteOnce, context, request),
      response_(response) {}

void CompleteOnceReactor::OnCancel() { OnCallCancelled(); }

void CompleteOnceReactor::OnDone() {
  OnCallDone();
  delete this;
}

absl::Status CompleteOnceReactor::Take(const Event& event) {
  num_bytes_ += Gather(event, reply(), result_);
  const int64_t limit = parts().context->limits.max_unary_response_bytes;
  if (num_bytes_ <= limit) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(
                        "the reply exceeds the size of a unary response; use "
                        "Complete"),
                    {"RESPONSE_TOO_LARGE", limit, num_bytes_});
}

bool CompleteOnceReactor::PrepareWrite() { return false; }

void CompleteOnceReactor::SendWrite() {}

void CompleteOnceReactor::SendFinish(const grpc::Status& status) {
  if (status.ok()) *response_ = SerializeMessage(result_);
  Finish(status);
}

}  // namespace seer
