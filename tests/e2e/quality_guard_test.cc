// The guard between real clients, the real service and a tiny engine.
#include "server/quality_guard/quality_guard.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "proto/seer/v1/completion.grpc.pb.h"
#include "server/completion/completion_service.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/guard_metrics.h"
#include "server/metrics/metrics.h"
#include "server/metrics/text_exposition.h"
#include "server/quality_guard/kl_divergence.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

// A service over the engine, whose guard chooses a fraction of the requests.
class GuardedService {
 public:
  GuardedService(Engine* engine, const Tokenizer* tokenizer, double fraction)
      : guard_(engine, &guard_metrics_, OptionsOf(fraction)),
        service_(engine, tokenizer, nullptr, &metrics_,
                 CompletionService::Options(), &guard_),
        server_(*GrpcServer::Start(GrpcServer::Options(), {&service_})),
        stub_(v1::CompletionService::NewStub(
            grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()),
                                grpc::InsecureChannelCredentials()))) {
    server_->SetHealth(Health());
  }

  v1::CompletionService::Stub& stub() { return *stub_; }

  // Of the one request that the guard compared, its divergence; negative: it
  // compared none.
  double Divergence() {
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (absl::Now() < give_up) {
      for (const auto& family : guard_metrics_.registry().Collect()) {
        if (family.name != "seer_quality_guard_kl_nats") continue;
        EXPECT_EQ(family.metric.size(), 1u);
        const auto& histogram = family.metric[0].histogram;
        EXPECT_EQ(histogram.sample_count, 1u);
        return histogram.sample_sum;
      }
      absl::SleepFor(absl::Milliseconds(2));
    }
    return -1.0;
  }

  std::string RequestMetrics() const {
    return ExposeText({&metrics_.registry()});
  }

 private:
  static QualityGuardOptions OptionsOf(double fraction) {
    QualityGuardOptions options;
    options.fraction = fraction;
    return options;
  }

  Metrics metrics_{"tiny", "0.0.0-test"};
  GuardMetrics guard_metrics_{"tiny"};
  QualityGuard guard_;
  CompletionService service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::CompletionService::Stub> stub_;
};

class QualityGuardEndToEndTest : public TinyEngineTest {
 protected:
  void SetUp() override {
    // Runs alone are the same bit for bit.
    options_.scheduler.fixed_chunk_tokens = 256;
    Start();
  }

  // Of a prompt and a policy that are the engine's Generation()'s too.
  static v1::CompleteRequest Request() {
    v1::CompleteRequest request;
    const std::vector<TokenId> prompt = GreedyRequest(1500, 1).prompt;
    request.mutable_token_ids()->mutable_ids()->Add(prompt.begin(),
                                                    prompt.end());
    request.set_max_tokens(12);
    request.mutable_sampling()->set_n(2);
    request.mutable_sampling()->set_seed(5);
    request.set_logprobs(3);
    request.mutable_sparsity()->set_target_sparsity(0.6);
    request.mutable_sparsity()->set_builtin(v1::BUILTIN_GATE_MEAN_POOL);
    return request;
  }

  static v1::CompleteResult Once(GuardedService& service,
                                 const v1::CompleteRequest& request) {
    grpc::ClientContext context;
    v1::CompleteResult result;
    const grpc::Status status =
        service.stub().CompleteOnce(&context, request, &result);
    EXPECT_TRUE(status.ok()) << status.error_message();
    // What no two answers share.
    result.clear_request_id();
    result.mutable_summary()->clear_timings();
    return result;
  }
};

TEST_F(QualityGuardEndToEndTest, ClientsSeeNothingOfItAndOperatorsTheKl) {
  GuardedService plain(engine_.get(), tokenizer_.get(), 0.0);
  GuardedService guarded(engine_.get(), tokenizer_.get(), 1.0);
  v1::CompleteRequest dense = Request();
  dense.clear_sparsity();
  const v1::CompleteResult plain_dense = Once(plain, dense);
  const v1::CompleteResult plain_sparse = Once(plain, Request());
  EXPECT_EQ(Once(guarded, dense).DebugString(), plain_dense.DebugString());
  // Last: the next request would put an end to its twin.
  EXPECT_EQ(Once(guarded, Request()).DebugString(), plain_sparse.DebugString());

  // One comparison: of the sparse request, with what the engine gives for the
  // prompt under either policy.
  GenerationRequest generation = GreedyRequest(1500, 0);
  generation.wants_first_distribution = true;
  const double divergence = guarded.Divergence();
  const std::vector<float> log_p = Run(generation).first_distribution;
  generation.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
  const std::vector<float> log_q = Run(generation).first_distribution;
  ASSERT_EQ(log_p.size(), static_cast<size_t>(engine_->model().vocab_size));
  ASSERT_EQ(log_q.size(), log_p.size());
  EXPECT_EQ(divergence, KlDivergence(log_p, log_q));
  EXPECT_GT(divergence, 0.0);
  // Its twin was nobody's request.
  EXPECT_NE(guarded.RequestMetrics().find(
                "seer_request_prompt_tokens_count{model=\"tiny\"} 2\n"),
            std::string::npos);
}

TEST_F(QualityGuardEndToEndTest, StreamsHaveNoOtherFrames) {
  GuardedService guarded(engine_.get(), tokenizer_.get(), 1.0);
  const v1::CompleteResult expected = Once(guarded, Request());
  guarded.Divergence();  // its twin is through: the next request runs alone
  grpc::ClientContext context;
  const auto reader = guarded.stub().Complete(&context, Request());
  std::vector<std::string> texts(2);
  std::vector<int> num_tokens(2);
  bool summarized = false;
  for (v1::CompleteResponse frame; reader->Read(&frame);) {
    EXPECT_NE(frame.frame_case(), v1::CompleteResponse::FRAME_NOT_SET);
    summarized |= frame.has_summary();
    if (!frame.has_delta()) continue;
    texts[frame.delta().index()] += frame.delta().text();
    num_tokens[frame.delta().index()] += frame.delta().token_ids_size();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(summarized);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(texts[i], expected.choices(i).text());
    EXPECT_EQ(num_tokens[i], expected.choices(i).token_ids_size());
  }
}

TEST_F(QualityGuardEndToEndTest, ABudgetThatLeavesNothingOutIsNoDifference) {
  GuardedService guarded(engine_.get(), tokenizer_.get(), 1.0);
  v1::CompleteRequest request = Request();
  request.mutable_sparsity()->set_threshold(1e-30);
  const v1::CompleteResult result = Once(guarded, request);
  EXPECT_EQ(result.summary().sparsity().gate(), "mean_pool");
  EXPECT_EQ(result.summary().sparsity().realized_sparsity(), 0.0);
  EXPECT_EQ(guarded.Divergence(), 0.0);
}

}  // namespace
}  // namespace seer
