// What each RPC answers, over a real connection.
#include "server/completion/completion_service.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/errors.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/server/in_process_server.h"
#include "tests/testing/server/status_details.h"

namespace seer {
namespace {

std::string Field(const grpc::Status& status) {
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status);
  if (!bad_request || bad_request->field_violations().empty()) return "";
  return bad_request->field_violations(0).field();
}

struct Reply {
  std::vector<v1::CompleteResponse> frames;
  grpc::Status status;
};

Reply Complete(v1::CompletionService::Stub& stub,
               const v1::CompleteRequest& request) {
  grpc::ClientContext context;
  Reply reply;
  auto reader = stub.Complete(&context, request);
  for (v1::CompleteResponse frame; reader->Read(&frame);) {
    reply.frames.push_back(frame);
  }
  reply.status = reader->Finish();
  return reply;
}

v1::CompleteRequest TextRequest(const std::string& text, int max_tokens) {
  v1::CompleteRequest request;
  request.set_text(text);
  request.set_max_tokens(max_tokens);
  return request;
}

class CompletionServiceTest : public ::testing::Test {
 protected:
  InProcessServer server_{InProcessServer::Options()};
};

TEST_F(CompletionServiceTest, StreamsFramesInOrder) {
  v1::CompleteRequest request = TextRequest("hello", 3);
  request.mutable_sampling()->set_n(2);
  request.mutable_sparsity()->set_target_sparsity(0);
  request.mutable_sparsity()->set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
  const Reply reply = Complete(server_.stub(), request);
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  ASSERT_GE(reply.frames.size(), 11u);
  const std::string& id = reply.frames[0].accepted().request_id();
  EXPECT_EQ(id.size(), 26u);
  EXPECT_EQ(id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"),
            std::string::npos);
  EXPECT_TRUE(reply.frames[1].has_prompt_progress());
  std::string texts[2];
  for (const auto& frame : reply.frames) {
    if (frame.has_delta()) texts[frame.delta().index()] += frame.delta().text();
  }
  EXPECT_EQ(texts[0], "w0 w1 w2 ");
  EXPECT_EQ(texts[1], "w0 w1 w2 ");
  const v1::Summary& summary = reply.frames.back().summary();
  EXPECT_EQ(summary.usage().output_tokens(), 6);
  EXPECT_TRUE(summary.sparsity().has_requested());
  EXPECT_EQ(server_.engine().requests()[0].request_id, id);
}

TEST_F(CompletionServiceTest, CompleteOnceIsTheSameGathered) {
  v1::CompleteRequest request = TextRequest("hello", 3);
  request.mutable_sampling()->set_n(2);
  request.set_logprobs(1);
  request.set_prompt_logprobs(0);
  grpc::ClientContext context;
  v1::CompleteResult result;
  const grpc::Status status =
      server_.stub().CompleteOnce(&context, request, &result);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(result.choices_size(), 2);
  EXPECT_EQ(result.choices(1).text(), "w0 w1 w2 ");
  EXPECT_EQ(result.choices(1).logprobs_size(), 3);
  EXPECT_EQ(result.choices(1).finish().index(), 1);
  EXPECT_EQ(result.prompt_logprobs_size(),
            result.summary().usage().prompt_tokens() - 1);
  EXPECT_EQ(result.request_id(), server_.engine().requests()[0].request_id);
  EXPECT_FALSE(result.summary().sparsity().has_requested());
}

TEST_F(CompletionServiceTest, LongTextsTakeTheSameWay) {
  const std::string text(3 * 4096, 'x');
  const Reply reply = Complete(server_.stub(), TextRequest(text, 1));
  // The tiny tokenizer may need a token for each byte.
  EXPECT_TRUE(reply.status.ok() ||
              DetailOf<google::rpc::ErrorInfo>(reply.status).value().reason() ==
                  "CONTEXT_TOO_LONG");
  const Reply refused =
      Complete(server_.stub(), TextRequest(text + "\nmore", 4097));
  EXPECT_EQ(Field(refused.status), "max_tokens");
}

TEST_F(CompletionServiceTest, BadValuesNameTheirFieldAndTheRequest) {
  v1::CompleteRequest request = TextRequest("hello", 3);
  request.mutable_sparsity()->set_target_sparsity(1.0);
  const Reply reply = Complete(server_.stub(), request);
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Field(reply.status), "sparsity.target_sparsity");
  EXPECT_TRUE(reply.frames.empty());
  EXPECT_TRUE(DetailOf<google::rpc::RequestInfo>(reply.status));
  grpc::ClientContext context;
  v1::CompleteResult result;
  EXPECT_EQ(Field(server_.stub().CompleteOnce(&context, request, &result)),
            "sparsity.target_sparsity");
}

TEST_F(CompletionServiceTest, AnUnknownGateIsNotFound) {
  v1::CompleteRequest request = TextRequest("hello", 3);
  request.mutable_sparsity()->set_target_sparsity(0.5);
  request.mutable_sparsity()->set_gate_set("models/fake/gateSets/none");
  const Reply reply = Complete(server_.stub(), request);
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(
      DetailOf<google::rpc::ResourceInfo>(reply.status).value().resource_name(),
      "models/fake/gateSets/none");
  for (const v1::GateLabel label :
       {v1::GATE_LABEL_STABLE, v1::GATE_LABEL_CANARY}) {
    request.mutable_sparsity()->set_label(label);
    EXPECT_EQ(Complete(server_.stub(), request).status.error_code(),
              grpc::StatusCode::FAILED_PRECONDITION);
  }
}

TEST_F(CompletionServiceTest, TokenizeAndDetokenizeAreInverse) {
  grpc::ClientContext c1, c2, c3;
  v1::TokenizeRequest request;
  request.set_text("na\xc3\xafve <|im_end|> text");
  v1::TokenizeResponse tokens;
  ASSERT_TRUE(server_.stub().Tokenize(&c1, request, &tokens).ok());
  v1::DetokenizeRequest back;
  *back.mutable_token_ids() = tokens.token_ids();
  v1::DetokenizeResponse text;
  ASSERT_TRUE(server_.stub().Detokenize(&c2, back, &text).ok());
  EXPECT_EQ(text.text(), request.text());
  back.add_token_ids(kTinyLlamaVocabSize);
  const grpc::Status status = server_.stub().Detokenize(&c3, back, &text);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Field(status),
            absl::StrCat("token_ids[", tokens.token_ids_size(), "]"));
}

TEST_F(CompletionServiceTest, ApplyChatTemplateShowsWhatCompleteWouldRun) {
  v1::ChatPrompt chat;
  chat.add_messages()->set_role("user");
  chat.mutable_messages(0)->set_content("hi <|im_end|>");
  grpc::ClientContext context;
  v1::ApplyChatTemplateRequest request;
  *request.mutable_chat() = chat;
  v1::ApplyChatTemplateResponse response;
  ASSERT_TRUE(
      server_.stub().ApplyChatTemplate(&context, request, &response).ok());
  EXPECT_TRUE(absl::StrContains(response.text(), "hi <|im_end|>"));
  v1::CompleteRequest complete;
  *complete.mutable_chat() = chat;
  ASSERT_TRUE(Complete(server_.stub(), complete).status.ok());
  const std::vector<TokenId> prompt = server_.engine().requests()[0].prompt;
  EXPECT_EQ(prompt, std::vector<TokenId>(response.token_ids().begin(),
                                         response.token_ids().end()));
}

TEST_F(CompletionServiceTest, GetModelSaysWhatIsServed) {
  v1::Model model;
  for (const char* name : {"", "models/fake"}) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_name(name);
    ASSERT_TRUE(server_.stub().GetModel(&context, request, &model).ok());
    EXPECT_EQ(model.name(), "models/fake");
  }
  EXPECT_EQ(model.context_length(), 4096);
  EXPECT_EQ(model.vocabulary_size(), kTinyLlamaVocabSize);
  EXPECT_EQ(model.block_size(), 64);
  EXPECT_EQ(model.gate_sets(0).name(), "mean_pool");
  EXPECT_TRUE(model.default_sparsity().has_dense());
  EXPECT_TRUE(model.has_chat_template());
  EXPECT_EQ(model.limits().max_stop_strings(), 16);
  grpc::ClientContext context;
  v1::GetModelRequest request;
  request.set_name("models/other");
  EXPECT_EQ(server_.stub().GetModel(&context, request, &model).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(CompletionServiceTest, GetModelSaysWhatLabelsStandFor) {
  InProcessServer::Options options;
  options.engine.gate_sets.resize(2);
  options.engine.gate_sets[0].stable = true;
  options.engine.gate_sets[1].canary = true;
  InProcessServer server(std::move(options));
  v1::Model model;
  grpc::ClientContext context;
  ASSERT_TRUE(
      server.stub().GetModel(&context, v1::GetModelRequest(), &model).ok());
  ASSERT_EQ(model.gate_sets_size(), 3);
  EXPECT_EQ(model.gate_sets(0).labels_size(), 0);
  ASSERT_EQ(model.gate_sets(1).labels_size(), 1);
  EXPECT_EQ(model.gate_sets(1).labels(0), v1::GATE_LABEL_STABLE);
  ASSERT_EQ(model.gate_sets(2).labels_size(), 1);
  EXPECT_EQ(model.gate_sets(2).labels(0), v1::GATE_LABEL_CANARY);
}

TEST_F(CompletionServiceTest, GetLoadReadsTheEngine) {
  EngineStats stats;
  stats.requests_waiting = 3;
  stats.waiting_tokens = 999;
  stats.pages_used = 5;
  stats.pages_total = 9;
  stats.predicted_queue_delay = absl::Milliseconds(2500);
  server_.engine().SetStats(stats);
  grpc::ClientContext context;
  v1::Load load;
  ASSERT_TRUE(
      server_.stub().GetLoad(&context, v1::GetLoadRequest(), &load).ok());
  EXPECT_EQ(load.requests_waiting(), 3);
  EXPECT_EQ(load.tokens_waiting(), 999);
  EXPECT_EQ(load.kv_pages_used(), 5);
  EXPECT_EQ(load.kv_pages_total(), 9);
  EXPECT_EQ(load.predicted_queue_delay().seconds(), 2);
  EXPECT_EQ(load.predicted_queue_delay().nanos(), 500000000);
  EXPECT_TRUE(load.accepting());
}

TEST(CompletionServiceOptionsTest, ChatWithoutATemplateIsRefused) {
  InProcessServer::Options options;
  options.has_chat_template = false;
  InProcessServer server(options);
  v1::CompleteRequest request;
  request.mutable_chat()->add_messages()->set_role("user");
  EXPECT_EQ(Complete(server.stub(), request).status.error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  // And without spoiling anything else.
  EXPECT_TRUE(Complete(server.stub(), TextRequest("a", 1)).status.ok());
}

TEST(CompletionServiceOptionsTest, OversizedUnaryRepliesAreRefused) {
  InProcessServer::Options options;
  options.service.limits.max_unary_response_bytes = 2048;
  InProcessServer server(options);
  grpc::ClientContext c1, c2;
  v1::CompleteResult result;
  const grpc::Status status =
      server.stub().CompleteOnce(&c1, TextRequest("a", 2000), &result);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->reason(), "RESPONSE_TOO_LARGE");
  EXPECT_EQ(info->metadata().at("limit"), "2048");
  EXPECT_FALSE(DetailOf<google::rpc::RetryInfo>(status));
  // A stream has no such limit.
  EXPECT_TRUE(Complete(server.stub(), TextRequest("a", 2000)).status.ok());
  v1::TokenizeRequest tokenize;
  tokenize.set_text(std::string(4000, 'x'));
  v1::TokenizeResponse tokens;
  EXPECT_EQ(server.stub().Tokenize(&c2, tokenize, &tokens).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(CompletionServiceOptionsTest, RequestsOverTheReceiveLimitAreRefused) {
  InProcessServer::Options options;
  options.server.max_receive_bytes = 4096;
  InProcessServer server(options);
  EXPECT_EQ(Complete(server.stub(), TextRequest(std::string(5000, 'x'), 1))
                .status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Complete(server.stub(), TextRequest("a", 1)).status.ok());
}

TEST(CompletionServiceOptionsTest, EngineRefusalsCarryTheirDelay) {
  InProcessServer::Options options;
  options.script = [](const GenerationRequest&) -> absl::StatusOr<FakeReply> {
    return WithRetryDelay(absl::ResourceExhaustedError("the queue is full"),
                          absl::Seconds(5));
  };
  InProcessServer server(options);
  const Reply reply = Complete(server.stub(), TextRequest("a", 1));
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(DetailOf<google::rpc::RetryInfo>(reply.status)
                .value()
                .retry_delay()
                .seconds(),
            5);
  EXPECT_TRUE(absl::StrContains(
      server.MetricsText(),
      "seer_admission_rejections_total{model=\"fake\",reason=\"queue_full\"} "
      "1"));
}

TEST(CompletionServiceOptionsTest, InternalErrorsTellNothing) {
  InProcessServer::Options options;
  options.script = [](const GenerationRequest&) {
    return FakeReply{
        {AcceptedEvent{}, FailureEvent{absl::InternalError("/dev/gpu0 died")}},
        absl::ZeroDuration()};
  };
  InProcessServer server(options);
  const Reply reply = Complete(server.stub(), TextRequest("a", 1));
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(reply.status.error_message(), "internal error");
  EXPECT_EQ(
      DetailOf<google::rpc::RequestInfo>(reply.status).value().request_id(),
      reply.frames[0].accepted().request_id());
}

TEST(CompletionServiceOptionsTest, ValidatesItsOptions) {
  EXPECT_TRUE(CompletionService::Options().Validate().ok());
  CompletionService::Options options;
  options.num_tokenizer_threads = 0;
  EXPECT_FALSE(options.Validate().ok());
  options = CompletionService::Options();
  options.limits.max_n = -1;
  EXPECT_FALSE(options.Validate().ok());
}

}  // namespace
}  // namespace seer
