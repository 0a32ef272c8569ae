#include "server/completion/completion_service.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/codec/policy_codec.h"
#include "server/codec/request_codec.h"
#include "server/completion/completion_reactors.h"
#include "server/completion/raw_message.h"
#include "server/grpc/grpc_status.h"

namespace seer {
namespace {

constexpr int32_t kBlockSize = 64;
// Reading a token back costs about as much as so many bytes of text.
constexpr int64_t kTextBytesPerToken = 4;

// Errors of the tokenizer are about the one field that was given to it.
absl::Status AboutField(const absl::Status& status, absl::string_view field) {
  if (!absl::IsInvalidArgument(status)) return status;
  return InvalidField(field, status.message());
}

// How much there is to read, in bytes of text.
int64_t TextBytes(const v1::TokenizeRequest& request) {
  return static_cast<int64_t>(request.text().size());
}
int64_t TextBytes(const v1::DetokenizeRequest& request) {
  return request.token_ids_size() * kTextBytesPerToken;
}
int64_t TextBytes(const v1::ApplyChatTemplateRequest& request) {
  int64_t bytes = 0;
  for (const v1::ChatMessage& message : request.chat().messages()) {
    bytes += static_cast<int64_t>(message.content().size());
  }
  return bytes;
}
int64_t TextBytes(const v1::GetModelRequest&) { return 0; }
int64_t TextBytes(const v1::GetLoadRequest&) { return 0; }

RequestContext MakeContext(Engine* engine, const Tokenizer* tokenizer,
                           const ChatTemplate* chat_template,
                           const CompletionService::Options& options) {
  RequestContext context;
  context.model = &engine->model();
  context.tokenizer = tokenizer;
  context.chat_template = chat_template;
  context.limits = options.limits;
  context.default_policy = options.default_policy;
  context.longest_token_bytes = LongestTokenBytes(*tokenizer);
  return context;
}

}  // namespace

absl::Status CompletionService::Options::Validate() const {
  SEER_RETURN_IF_ERROR(limits.Validate());
  if (num_tokenizer_threads < 1 || num_tokenizer_threads > 64) {
    return absl::InvalidArgumentError(
        "num_tokenizer_threads must be in [1, 64]");
  }
  if (max_waiting_texts < 1 || max_waiting_texts > 4096) {
    return absl::InvalidArgumentError("max_waiting_texts must be in [1, 4096]");
  }
  if (inline_text_bytes < 0) {
    return absl::InvalidArgumentError("inline_text_bytes must not be negative");
  }
  if (max_write_stall < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError("max_write_stall must be positive");
  }
  return absl::OkStatus();
}

CompletionService::CompletionService(Engine* engine, const Tokenizer* tokenizer,
                                     const ChatTemplate* chat_template,
                                     Metrics* metrics, Options options,
                                     QualityGuard* guard)
    : engine_(engine),
      metrics_(metrics),
      options_(std::move(options)),
      context_(MakeContext(engine, tokenizer, chat_template, options_)),
      workers_(options_.num_tokenizer_threads, options_.max_waiting_texts),
      parts_{engine_,
             &context_,
             &workers_,
             metrics_,
             &registry_,
             guard,
             options_.inline_text_bytes},
      sweeper_([this] { SweepStalled(); }) {}

CompletionService::~CompletionService() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    stopped_.NotifyAll();
  }
  sweeper_.join();
}

void CompletionService::SweepStalled() {
  const absl::Duration limit = options_.max_write_stall;
  MutexLock lock(&mutex_);
  while (!stopping_) {
    stopped_.WaitWithTimeout(&mutex_, std::min(limit / 4, absl::Seconds(1)));
    registry_.CancelStalled(absl::Now(), limit);
  }
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* CompletionService::Complete(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  auto* reactor = new CompleteReactor(parts_, context, *request);
  reactor->Begin();
  return reactor;
}

grpc::ServerUnaryReactor* CompletionService::CompleteOnce(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  auto* reactor = new CompleteOnceReactor(parts_, context, *request, response);
  reactor->Begin();
  return reactor;
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* CompletionService::Answer(
    Method method, grpc::CallbackServerContext* context,
    const grpc::ByteBuffer& request, grpc::ByteBuffer* response,
    absl::Status (CompletionService::*answer)(const Request&, Response&)
        const) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto finish = [this, reactor, method](const absl::Status& status) {
    metrics_->CountRequest(method, status.code(), FinishLabel::kNone);
    reactor->Finish(ToGrpcStatus(WithDefaultRetryDelay(status), ""));
  };
  auto parsed = std::make_shared<Request>();
  if (absl::Status status = ParseMessage(request, *parsed); !status.ok()) {
    finish(status);
    return reactor;
  }
  auto work = [this, parsed, response, answer]() -> absl::Status {
    Response out;
    SEER_RETURN_IF_ERROR((this->*answer)(*parsed, out));
    SEER_RETURN_IF_ERROR(CheckSize(out));
    *response = SerializeMessage(out);
    return absl::OkStatus();
  };
  Run(TextBytes(*parsed), work, finish);
  return reactor;
}

void CompletionService::Run(int64_t text_bytes,
                            std::function<absl::Status()> work,
                            std::function<void(const absl::Status&)> finish) {
  if (text_bytes <= options_.inline_text_bytes) {
    finish(work());
  } else if (!workers_.TryRun([work, finish] { finish(work()); })) {
    metrics_->CountRejection(RejectReason::kTokenizerBusy);
    finish(absl::ResourceExhaustedError("too many long texts wait"));
  }
}

absl::Status CompletionService::CheckSize(
    const google::protobuf::Message& response) const {
  const int64_t bytes = static_cast<int64_t>(response.ByteSizeLong());
  const int64_t limit = options_.limits.max_unary_response_bytes;
  if (bytes <= limit) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(
                        "the reply exceeds the size of a unary response"),
                    {"RESPONSE_TOO_LARGE", limit, bytes});
}

grpc::ServerUnaryReactor* CompletionService::Tokenize(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Answer(Method::kTokenize, context, *request, response,
                &CompletionService::AnswerTokenize);
}

grpc::ServerUnaryReactor* CompletionService::Detokenize(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Answer(Method::kDetokenize, context, *request, response,
                &CompletionService::AnswerDetokenize);
}

grpc::ServerUnaryReactor* CompletionService::ApplyChatTemplate(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Answer(Method::kApplyChatTemplate, context, *request, response,
                &CompletionService::AnswerApplyChatTemplate);
}

grpc::ServerUnaryReactor* CompletionService::GetModel(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Answer(Method::kGetModel, context, *request, response,
                &CompletionService::AnswerGetModel);
}

grpc::ServerUnaryReactor* CompletionService::GetLoad(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Answer(Method::kGetLoad, context, *request, response,
                &CompletionService::AnswerGetLoad);
}

absl::Status CompletionService::AnswerTokenize(
    const v1::TokenizeRequest& request, v1::TokenizeResponse& response) const {
  EncodeOptions options;
  options.parse_special = request.parse_special();
  options.add_special = request.add_special();
  const auto ids = context_.tokenizer->Encode(request.text(), options);
  if (!ids.ok()) return AboutField(ids.status(), "text");
  response.mutable_token_ids()->Add(ids->begin(), ids->end());
  return absl::OkStatus();
}

absl::Status CompletionService::AnswerDetokenize(
    const v1::DetokenizeRequest& request,
    v1::DetokenizeResponse& response) const {
  const auto& sent = request.token_ids();
  SEER_ASSIGN_OR_RETURN(const std::vector<TokenId> ids,
                        DecodeTokenIds(absl::MakeSpan(sent.data(), sent.size()),
                                       "token_ids", *context_.model));
  auto text = context_.tokenizer->Decode(ids, request.skip_special());
  if (!text.ok()) return AboutField(text.status(), "token_ids");
  response.set_text(*std::move(text));
  return absl::OkStatus();
}

absl::Status CompletionService::AnswerApplyChatTemplate(
    const v1::ApplyChatTemplateRequest& request,
    v1::ApplyChatTemplateResponse& response) const {
  SEER_ASSIGN_OR_RETURN(const std::vector<ChatMessage> messages,
                        DecodeChat(request.chat(), "chat", context_));
  ChatOptions options;
  options.add_generation_prompt = !request.chat().omit_generation_prompt();
  const ChatTemplate& chat_template = *context_.chat_template;
  auto text = chat_template.RenderText(messages, options);
  if (!text.ok()) return AboutField(text.status(), "chat.messages");
  const auto ids = chat_template.Encode(messages, options);
  if (!ids.ok()) return AboutField(ids.status(), "chat.messages");
  response.set_text(*std::move(text));
  response.mutable_token_ids()->Add(ids->begin(), ids->end());
  return absl::OkStatus();
}

absl::Status CompletionService::AnswerGetModel(
    const v1::GetModelRequest& request, v1::Model& out) const {
  const ModelInfo& model = engine_->model();
  SEER_RETURN_IF_ERROR(CheckModelName(request.name(), model));
  out.set_name(ModelName(model));
  out.set_fingerprint(model.fingerprint);
  out.set_context_length(model.context_len);
  out.set_vocabulary_size(model.vocab_size);
  out.set_num_layers(model.num_layers);
  out.set_num_query_heads(model.num_query_heads);
  out.set_num_kv_heads(model.num_kv_heads);
  out.set_head_dim(model.head_dim);
  out.set_block_size(kBlockSize);
  out.set_dtype(model.dtype);
  out.set_device(model.device);
  for (const GateSetInfo& info : engine_->gate_sets()) {
    v1::GateSetSummary& gate_set = *out.add_gate_sets();
    gate_set.set_name(info.name);
    gate_set.set_design(info.design);
    gate_set.set_version(info.version);
    gate_set.set_has_profile(info.has_profile);
    if (info.stable) gate_set.add_labels(v1::GATE_LABEL_STABLE);
    if (info.canary) gate_set.add_labels(v1::GATE_LABEL_CANARY);
  }
  *out.mutable_default_sparsity() =
      EncodePolicy(options_.default_policy.value_or(SparsityPolicy()));
  *out.mutable_limits() = EncodeLimits(options_.limits);
  out.set_has_chat_template(context_.chat_template != nullptr);
  out.set_server_version(options_.server_version);
  return absl::OkStatus();
}

absl::Status CompletionService::AnswerGetLoad(const v1::GetLoadRequest&,
                                              v1::Load& response) const {
  const EngineStats stats = engine_->Stats();
  response.set_requests_running(stats.requests_running);
  response.set_requests_waiting(stats.requests_waiting);
  response.set_tokens_waiting(stats.waiting_tokens);
  response.set_kv_pages_used(stats.pages_used);
  response.set_kv_pages_total(stats.pages_total);
  if (stats.predicted_queue_delay > absl::ZeroDuration()) {
    absl::Duration delay = stats.predicted_queue_delay;
    auto& out = *response.mutable_predicted_queue_delay();
    out.set_seconds(absl::IDivDuration(delay, absl::Seconds(1), &delay));
    out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(delay)));
  }
  response.set_accepting(stats.healthy && !stats.draining);
  return absl::OkStatus();
}

}  // namespace seer
