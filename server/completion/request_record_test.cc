#include "server/completion/request_record.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "engine/errors.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/metrics/text_exposition.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {
namespace {

const absl::Time kArrival = absl::UnixEpoch() + absl::Hours(1);

class RequestRecordTest : public ::testing::Test {
 protected:
  RequestRecordTest() {
    SetLogSink([this](absl::string_view line) { lines_.emplace_back(line); });
    request_.prompt.assign(640, 1);
    request_.max_tokens = 4;
    request_.client_request_id = "theirs";
    request_.policy.emplace();
    request_.policy->budget = {BudgetKind::kTargetSparsity, 0.5, 0, 0, 0};
    request_.policy->gate = GateChoice{GateChoice::Kind::kMeanPool, ""};
    record_.OnDecoded(request_);
  }
  ~RequestRecordTest() override { SetLogSink(nullptr); }

  void ExpectMetric(const std::string& line) {
    EXPECT_TRUE(absl::StrContains(ExposeText({&metrics_.registry()}),
                                  absl::StrCat(line, "\n")))
        << line;
  }

  Metrics metrics_{"m", "0"};
  GenerationRequest request_;
  RequestRecord record_{&metrics_, Method::kComplete, "r-1", kArrival};
  std::vector<std::string> lines_;
};

TEST_F(RequestRecordTest, ACompletionIsOneLineAndItsMetrics) {
  record_.OnAdmitted();
  absl::Time now = kArrival;
  for (const Event& event : EchoReply(request_, FakeModelInfo()).events) {
    if (std::holds_alternative<DeltaEvent>(event)) now += absl::Seconds(1);
    record_.OnEvent(event, now);
  }
  record_.OnEnd(absl::OkStatus(), now);
  ASSERT_EQ(lines_.size(), 1u);
  const auto line = nlohmann::json::parse(lines_[0]);
  EXPECT_EQ(line["message"], "request ended");
  EXPECT_EQ(line["request_id"], "r-1");
  EXPECT_EQ(line["client_request_id"], "theirs");
  EXPECT_EQ(line["method"], "complete");
  EXPECT_EQ(line["code"], "OK");
  EXPECT_EQ(line["finish_reason"], "length");
  EXPECT_EQ(line["prompt_tokens"], 640);
  EXPECT_EQ(line["output_tokens"], 4);
  EXPECT_EQ(line["time_to_first_token_seconds"], 1.0);
  EXPECT_EQ(line["policy"], "target_sparsity");
  EXPECT_NEAR(line["realized_sparsity"].get<double>(), 0.5, 0.01);
  EXPECT_EQ(line["gate"], "mean_pool");
  EXPECT_EQ(line["duration_seconds"], 4.0);
  ExpectMetric(
      "seer_requests_total{model=\"m\",code=\"OK\",finish_reason=\"length\","
      "method=\"complete\"} 1");
  ExpectMetric(
      "seer_time_to_first_token_seconds_sum{model=\"m\",policy=\"target_"
      "sparsity\",prompt_length=\"<=4k\"} 1");
  ExpectMetric(
      "seer_inter_token_latency_seconds_sum{model=\"m\",during_prefill=\"0\"} "
      "3");
  ExpectMetric("seer_request_prompt_tokens_sum{model=\"m\"} 640");
}

TEST_F(RequestRecordTest, ARequestCutShortSaysItsGateToo) {
  record_.OnAdmitted();
  record_.OnEvent(AcceptedEvent{0, "models/m/gateSets/a", "digest"}, kArrival);
  record_.OnEnd(absl::CancelledError("x"), kArrival);
  ASSERT_EQ(lines_.size(), 1u);
  const auto line = nlohmann::json::parse(lines_[0]);
  EXPECT_EQ(line["gate"], "models/m/gateSets/a");
  EXPECT_EQ(line["gate_version"], "digest");
}

TEST_F(RequestRecordTest, ChoicesThatEndDifferentlyAreMixed) {
  FinishEvent finish;
  record_.OnEvent(finish, kArrival);
  finish.reason = FinishReason::kStop;
  record_.OnEvent(finish, kArrival);
  record_.OnEnd(absl::OkStatus(), kArrival);
  ExpectMetric(
      "seer_requests_total{model=\"m\",code=\"OK\",finish_reason=\"mixed\","
      "method=\"complete\"} 1");
}

TEST_F(RequestRecordTest, TokensThatComeTogetherShareTheTime) {
  DeltaEvent delta;
  delta.token_ids = {1};
  record_.OnEvent(delta, kArrival + absl::Seconds(1));
  delta.token_ids = {2, 3, 4, 5};
  record_.OnEvent(delta, kArrival + absl::Seconds(3));
  ExpectMetric(
      "seer_inter_token_latency_seconds_bucket{model=\"m\",during_prefill="
      "\"0\",le=\"0.5\"} 4");
}

TEST_F(RequestRecordTest, CutsAreCountedByTheirReason) {
  struct Case {
    bool admitted;
    absl::Status status;
    const char* metric;
  };
  const std::vector<Case> cases = {
      {true, absl::CancelledError("x"),
       "seer_cancellations_total{model=\"m\",reason=\"client\"} 1"},
      {true, absl::DeadlineExceededError("x"),
       "seer_cancellations_total{model=\"m\",reason=\"deadline\"} 1"},
      {true,
       WithReason(absl::ResourceExhaustedError("x"),
                  {"SLOW_READER", std::nullopt, std::nullopt}),
       "seer_cancellations_total{model=\"m\",reason=\"slow_reader\"} 1"},
      {true, absl::UnavailableError("x"),
       "seer_cancellations_total{model=\"m\",reason=\"drain\"} 1"},
      {false, absl::ResourceExhaustedError("x"),
       "seer_admission_rejections_total{model=\"m\",reason=\"queue_full\"} 1"},
      {false,
       WithReason(absl::ResourceExhaustedError("x"),
                  {"TOKENIZER_BUSY", std::nullopt, std::nullopt}),
       "seer_admission_rejections_total{model=\"m\",reason=\"tokenizer_busy\"} "
       "1"},
      {false, absl::UnavailableError("x"),
       "seer_admission_rejections_total{model=\"m\",reason=\"draining\"} 1"},
      {false, absl::InternalError("x"),
       "seer_admission_rejections_total{model=\"m\",reason=\"unhealthy\"} 1"},
  };
  for (const Case& c : cases) {
    RequestRecord record(&metrics_, Method::kCompleteOnce, "r", kArrival);
    if (c.admitted) record.OnAdmitted();
    record.OnEnd(c.status, kArrival);
    ExpectMetric(c.metric);
  }
}

TEST_F(RequestRecordTest, ARefusalSaysWhatWasAskedAndWhatWasWrong) {
  RequestRecord record(&metrics_, Method::kComplete, "r", kArrival);
  record.OnAsked(BudgetKind::kTargetSparsity);
  record.OnEnd(InvalidField("sparsity.target_sparsity", "x"), kArrival);
  ASSERT_EQ(lines_.size(), 1u);
  const auto line = nlohmann::json::parse(lines_[0]);
  EXPECT_EQ(line["policy"], "target_sparsity");
  EXPECT_EQ(line["field"], "sparsity.target_sparsity");
  EXPECT_EQ(line["reason"], "");
  record_.OnEnd(
      WithReason(absl::InvalidArgumentError("x"), {"CONTEXT_TOO_LONG", 1, 2}),
      kArrival);
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(lines_[1])["reason"], "CONTEXT_TOO_LONG");
}

TEST_F(RequestRecordTest, ARefusalIsNeitherCutNorRejected) {
  record_.OnEnd(InvalidField("text", "x"), kArrival);
  ExpectMetric(
      "seer_requests_total{model=\"m\",code=\"INVALID_ARGUMENT\",finish_reason="
      "\"none\",method=\"complete\"} 1");
  for (const char* reason : {"queue_full", "tokenizer_busy", "draining"}) {
    ExpectMetric(
        absl::StrCat("seer_admission_rejections_total{model=\"m\",reason=\"",
                     reason, "\"} 0"));
  }
}

}  // namespace
}  // namespace seer
