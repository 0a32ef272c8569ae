#ifndef SEER_SERVER_COMPLETION_COMPLETION_SERVICE_H_
#define SEER_SERVER_COMPLETION_COMPLETION_SERVICE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/engine.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "proto/seer/v1/completion.grpc.pb.h"
#include "server/codec/request_context.h"
#include "server/completion/completion_call.h"
#include "server/completion/worker_pool.h"
#include "server/metrics/metrics.h"
#include "server/quality_guard/quality_guard.h"

namespace seer {

// Every method takes bytes; see raw_message.h.
using RawCompletionService =
    v1::CompletionService::WithRawCallbackMethod_Complete<
        v1::CompletionService::WithRawCallbackMethod_CompleteOnce<
            v1::CompletionService::WithRawCallbackMethod_Tokenize<
                v1::CompletionService::WithRawCallbackMethod_Detokenize<
                    v1::CompletionService::
                        WithRawCallbackMethod_ApplyChatTemplate<
                            v1::CompletionService::
                                WithRawCallbackMethod_GetModel<
                                    v1::CompletionService::
                                        WithRawCallbackMethod_GetLoad<
                                            v1::CompletionService::
                                                Service>>>>>>>;

// seer.v1.CompletionService over an engine. No RPC holds a thread while it
// waits. Must outlive the gRPC server that it is registered with.
class CompletionService final : public RawCompletionService {
 public:
  struct Options {
    RequestLimits limits;
    // The policy of requests that have none. Unset: the engine's own, dense.
    std::optional<SparsityPolicy> default_policy;
    // Texts longer than inline_text_bytes are read by these threads instead of
    // gRPC's, which carry every other RPC. One keeps pace with any engine: a
    // token costs far more to compute than to read.
    int num_tokenizer_threads = 1;
    int64_t inline_text_bytes = 4096;
    // Long texts that may wait for them; more are RESOURCE_EXHAUSTED. Bounds
    // the memory they hold to as many times max_receive_bytes.
    int max_waiting_texts = 32;
    // A stream whose client takes nothing for so long is cancelled.
    absl::Duration max_write_stall = absl::Seconds(60);
    std::string server_version;

    absl::Status Validate() const;
  };

  // Everything is borrowed. `chat_template` may be null: then chat is
  // FAILED_PRECONDITION. `options` must be valid. `guard` null: none.
  CompletionService(Engine* engine, const Tokenizer* tokenizer,
                    const ChatTemplate* chat_template, Metrics* metrics,
                    Options options, QualityGuard* guard = nullptr);
  ~CompletionService() override;

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Complete(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* CompleteOnce(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ApplyChatTemplate(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetLoad(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;

 private:
  // Ends a unary RPC with what `answer` makes of its request; on a worker where
  // the text to read is long.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(
      Method method, grpc::CallbackServerContext* context,
      const grpc::ByteBuffer& request, grpc::ByteBuffer* response,
      absl::Status (CompletionService::*answer)(const Request&, Response&)
          const);
  void Run(int64_t text_bytes, std::function<absl::Status()> work,
           std::function<void(const absl::Status&)> finish);
  absl::Status CheckSize(const google::protobuf::Message& response) const;

  absl::Status AnswerTokenize(const v1::TokenizeRequest& request,
                              v1::TokenizeResponse& response) const;
  absl::Status AnswerDetokenize(const v1::DetokenizeRequest& request,
                                v1::DetokenizeResponse& response) const;
  absl::Status AnswerApplyChatTemplate(
      const v1::ApplyChatTemplateRequest& request,
      v1::ApplyChatTemplateResponse& response) const;
  absl::Status AnswerGetModel(const v1::GetModelRequest& request,
                              v1::Model& response) const;
  absl::Status AnswerGetLoad(const v1::GetLoadRequest& request,
                             v1::Load& response) const;
  void SweepStalled();

  Engine* const engine_;
  Metrics* const metrics_;
  const Options options_;
  const RequestContext context_;
  CallRegistry registry_;
  WorkerPool workers_;
  const CompletionParts parts_;

  Mutex mutex_;
  CondVar stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread sweeper_;
};

}  // namespace seer

#endif  // SEER_SERVER_COMPLETION_COMPLETION_SERVICE_H_
