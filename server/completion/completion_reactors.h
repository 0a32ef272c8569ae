#ifndef SEER_SERVER_COMPLETION_COMPLETION_REACTORS_H_
#define SEER_SERVER_COMPLETION_COMPLETION_REACTORS_H_

#include <cstdint>
#include <deque>

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "proto/seer/v1/completion.pb.h"
#include "server/completion/completion_call.h"

namespace seer {

// Complete: a frame or more for every event. Deletes itself when it is done.
class CompleteReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                              public CompletionCall {
 public:
  CompleteReactor(const CompletionParts& parts,
                  grpc::CallbackServerContext* context,
                  const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  absl::Status Take(const Event& event) override;
  bool PrepareWrite() override;
  void SendWrite() override;
  void SendFinish(const grpc::Status& status) override;

  std::deque<v1::CompleteResponse> frames_;  // not yet written
  grpc::ByteBuffer current_;                 // being written
};

// CompleteOnce: all events in one message. Deletes itself when it is done.
class CompleteOnceReactor final : public grpc::ServerUnaryReactor,
                                  public CompletionCall {
 public:
  // `response` is gRPC's, and sent where the call ends well.
  CompleteOnceReactor(const CompletionParts& parts,
                      grpc::CallbackServerContext* context,
                      const grpc::ByteBuffer& request,
                      grpc::ByteBuffer* response);

  void OnCancel() override;
  void OnDone() override;

 private:
  // RESOURCE_EXHAUSTED (RESPONSE_TOO_LARGE): over the limit of unary replies.
  absl::Status Take(const Event& event) override;
  bool PrepareWrite() override;
  void SendWrite() override;
  void SendFinish(const grpc::Status& status) override;

  grpc::ByteBuffer* const response_;
  v1::CompleteResult result_;
  int64_t num_bytes_ = 0;
};

}  // namespace seer

#endif  // SEER_SERVER_COMPLETION_COMPLETION_REACTORS_H_
