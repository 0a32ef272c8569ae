#include "server/quality_guard/quality_guard.h"

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "server/metrics/text_exposition.h"
#include "server/quality_guard/kl_divergence.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {
namespace {

constexpr BudgetKind kSparse = BudgetKind::kTargetSparsity;

// ln softmax of random logits, rounded as the engine rounds it.
std::vector<float> RandomDistribution(uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0.0, 4.0);
  std::vector<double> logits(5000);
  double sum = 0.0;
  for (double& logit : logits) sum += std::exp(logit = normal(random));
  std::vector<float> logprobs;
  for (const double logit : logits) logprobs.push_back(logit - std::log(sum));
  return logprobs;
}

TEST(KlDivergence, IsWhatItIsByHand) {
  const auto log = [](double p) { return static_cast<float>(std::log(p)); };
  // 1/2 ln(1/2 / 1/4) + 1/2 ln(1/2 / 3/4)
  const std::vector<float> p = {log(0.5), log(0.5)};
  const std::vector<float> q = {log(0.25), log(0.75)};
  // Logarithms below 1.4 are rounded by 2^-24 at the most; see the header.
  const double apart = 0.5 * std::log(2.0) + 0.5 * std::log(1.5) + 0.5;
  EXPECT_NEAR(KlDivergence(p, q), 0.5 * std::log(4.0 / 3.0), 0x1p-24 * apart);
  // 1/4 ln(1/4 / 1/2) + 3/4 ln(3/4 / 1/2)
  EXPECT_NEAR(KlDivergence(q, p), 0.25 * std::log(0.5) + 0.75 * std::log(1.5),
              0x1p-24 * apart);
}

TEST(KlDivergence, IsNearTheSumInDoubleOfNormalizedDistributions) {
  const std::vector<float> log_p = RandomDistribution(1);
  const std::vector<float> log_q = RandomDistribution(2);
  double sum_p = 0.0;
  double sum_q = 0.0;
  for (size_t i = 0; i < log_p.size(); ++i) {
    sum_p += std::exp(double{log_p[i]});
    sum_q += std::exp(double{log_q[i]});
  }
  double expected = 0.0;
  double apart = 0.0;
  for (size_t i = 0; i < log_p.size(); ++i) {
    const double p = std::exp(double{log_p[i]}) / sum_p;
    const double q = std::exp(double{log_q[i]}) / sum_q;
    expected += p * std::log(p / q);
    apart += p * std::abs(std::log(p / q)) + std::abs(p - q);
  }
  // Logarithms down to -32 are off by 2^-20, and so is what normalizes them.
  EXPECT_NEAR(KlDivergence(log_p, log_q), expected, 0x1p-19 * apart);
}

TEST(KlDivergence, OfEqualDistributionsIsZeroWhateverTheyAddUpTo) {
  std::vector<float> p = RandomDistribution(3);
  EXPECT_EQ(KlDivergence(p, p), 0.0);
  // A step in the last place of each: the error is the square of that.
  std::vector<float> q = p;
  for (float& logprob : q) logprob = std::nextafter(logprob, 0.0f);
  EXPECT_GE(KlDivergence(p, q), 0.0);
  EXPECT_LT(KlDivergence(p, q), 0x1p-19 * 0x1p-19);
}

GenerationRequest Request(const std::string& id) {
  GenerationRequest request;
  request.request_id = id;
  request.prompt = {1, 2, 3};
  request.max_tokens = 5;
  return request;
}

class QualityGuardTest : public testing::Test {
 protected:
  QualityGuardTest() { options_.fraction = 1.0; }
  void Start() {
    ASSERT_TRUE(options_.Validate().ok());
    guard_ = std::make_unique<QualityGuard>(&engine_, &metrics_, options_);
  }

  // What dense prefills answer.
  FakeReply Answer(const GenerationRequest&) {
    FakeReply reply;
    reply.events = {AcceptedEvent{}};
    if (answers_) {
      reply.events.push_back(FirstDistributionEvent{dense_});
      reply.events.push_back(SummaryEvent{});
    }
    return reply;
  }

  // The sample of a request that came to its first token under `gate`.
  std::unique_ptr<GuardSample> Sample(const std::string& id,
                                      const std::string& gate = "one") {
    GenerationRequest request = Request(id);
    auto sample = guard_->Choose(kSparse, request);
    EXPECT_NE(sample, nullptr);
    if (sample == nullptr) return nullptr;
    Event event = AcceptedEvent{0, gate, ""};
    EXPECT_FALSE(sample->Take(event));
    event = FirstDistributionEvent{sparse_};
    EXPECT_TRUE(sample->Take(event));
    event = DeltaEvent();
    EXPECT_FALSE(sample->Take(event));
    return sample;
  }

  std::string Text() { return ExposeText({&metrics_.registry()}); }
  bool WaitFor(const std::string& line) {
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (absl::Now() < give_up) {
      if (absl::StrContains(Text(), absl::StrCat(line, "\n"))) return true;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return false;
  }
  static std::string Dropped(const char* reason, int count) {
    return absl::StrCat("seer_quality_guard_dropped_total{model=\"m\",reason=",
                        "\"", reason, "\"} ", count);
  }
  static std::string Compared(const char* gate, int count) {
    return absl::StrCat("seer_quality_guard_kl_nats_count{model=\"m\",",
                        "gate_set=\"", gate, "\"} ", count);
  }
  void SetWaiting(int64_t count) {
    EngineStats stats = engine_.Stats();
    stats.requests_waiting = count;
    engine_.SetStats(stats);
  }

  const std::vector<float> dense_ = {std::log(0.5f), std::log(0.5f)};
  const std::vector<float> sparse_ = {std::log(0.25f), std::log(0.75f)};
  bool answers_ = true;
  QualityGuardOptions options_;
  GuardMetrics metrics_{"m"};
  FakeEngine engine_{
      FakeEngine::Options(),
      [this](const GenerationRequest& request) { return Answer(request); }};
  std::unique_ptr<QualityGuard> guard_;
};

TEST_F(QualityGuardTest, ChoosesAFractionOfTheRequestsByTheirIds) {
  options_.fraction = 0.1;
  Start();
  constexpr int kNumRequests = 20000;
  int num_chosen = 0;
  for (int i = 0; i < kNumRequests; ++i) {
    const std::string id = absl::StrCat("request-", i);
    GenerationRequest request = Request(id);
    const bool chosen = guard_->Choose(kSparse, request) != nullptr;
    num_chosen += chosen;
    EXPECT_EQ(request.wants_first_distribution, chosen);
    EXPECT_EQ(chosen, GuardPoint(id, options_.seed) < 0.1);
  }
  // Five standard deviations of as many draws.
  const double deviation = std::sqrt(kNumRequests * 0.1 * 0.9);
  EXPECT_NEAR(num_chosen, kNumRequests * 0.1, 5 * deviation);
}

TEST_F(QualityGuardTest, ChoosesOnlyWhatItCanCompare) {
  options_.max_prompt_tokens = 3;
  Start();
  GenerationRequest request = Request("a");
  EXPECT_EQ(guard_->Choose(BudgetKind::kDense, request), nullptr);
  GenerationRequest scored = Request("b");
  scored.max_tokens = 0;
  EXPECT_EQ(guard_->Choose(kSparse, scored), nullptr);
  GenerationRequest longer = Request("c");
  longer.prompt.push_back(4);
  EXPECT_EQ(guard_->Choose(kSparse, longer), nullptr);
  EXPECT_NE(guard_->Choose(kSparse, request), nullptr);
}

TEST_F(QualityGuardTest, ComparesWithADenseTwin) {
  Start();
  guard_->Compare(Sample("client"));
  ASSERT_TRUE(WaitFor(Compared("one", 1)));
  const std::vector<GenerationRequest> requests = engine_.requests();
  ASSERT_EQ(requests.size(), 1u);
  const GenerationRequest& twin = requests[0];
  EXPECT_NE(twin.request_id, "client");
  EXPECT_EQ(twin.prompt, Request("").prompt);
  EXPECT_EQ(twin.max_tokens, 0);
  EXPECT_EQ(twin.priority, Priority::kBackground);
  ASSERT_TRUE(twin.policy.has_value());
  EXPECT_EQ(twin.policy->budget.kind, BudgetKind::kDense);
  EXPECT_LT(twin.deadline, absl::InfiniteFuture());
  // 1/2 ln(4/3), dense against sparse and not the other way round.
  EXPECT_TRUE(absl::StrContains(
      Text(),
      "seer_quality_guard_kl_mean_nats{model=\"m\",gate_set=\"one\"} "
      "0.14384"))
      << Text();
}

TEST_F(QualityGuardTest, ComparesNothingThatWasDenseOrCameToNoToken) {
  Start();
  guard_->Compare(nullptr);
  guard_->Compare(Sample("dense", ""));
  guard_->Compare(Sample("max", kOracleMaxName));
  guard_->Compare(Sample("mass", kOracleMassName));
  GenerationRequest request = Request("failed");
  guard_->Compare(guard_->Choose(kSparse, request));
  guard_->Compare(Sample("sparse", "mean_pool"));
  ASSERT_TRUE(WaitFor(Compared("mean_pool", 1)));
  EXPECT_EQ(engine_.requests().size(), 1u);
}

TEST_F(QualityGuardTest, GivesWayToWhoeverWaits) {
  Start();
  SetWaiting(1);
  guard_->Compare(Sample("before"));
  EXPECT_TRUE(WaitFor(Dropped("busy", 1)));
  EXPECT_TRUE(engine_.requests().empty());
  // And while the twin runs.
  answers_ = false;
  SetWaiting(0);
  guard_->Compare(Sample("while"));
  ASSERT_TRUE(engine_.WaitForRequests(1));
  SetWaiting(1);
  EXPECT_TRUE(engine_.WaitForCancelled(1));
  EXPECT_TRUE(WaitFor(Dropped("busy", 2)));
}

TEST_F(QualityGuardTest, HoldsSoManySamplesAndNoMore) {
  options_.max_samples = 2;
  Start();
  const auto first = Sample("first");
  auto second = Sample("second");
  GenerationRequest request = Request("third");
  EXPECT_EQ(guard_->Choose(kSparse, request), nullptr);
  EXPECT_FALSE(request.wants_first_distribution);
  EXPECT_TRUE(WaitFor(Dropped("full", 1)));
  // Once one was compared, or turned out to be dense.
  guard_->Compare(std::move(second));
  ASSERT_TRUE(WaitFor(Compared("one", 1)));
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  std::unique_ptr<GuardSample> third;
  while (third == nullptr && absl::Now() < give_up) {
    third = guard_->Choose(kSparse, request);
  }
  ASSERT_NE(third, nullptr);
  Event dense = AcceptedEvent();
  third->Take(dense);
  EXPECT_NE(guard_->Choose(kSparse, request), nullptr);
}

TEST_F(QualityGuardTest, ATwinThatTakesTooLongIsDropped) {
  answers_ = false;
  options_.max_twin_time = absl::Milliseconds(50);
  Start();
  guard_->Compare(Sample("late"));
  EXPECT_TRUE(WaitFor(Dropped("late", 1)));
}

TEST_F(QualityGuardTest, ADrainNeedNotWaitForIt) {
  answers_ = false;
  Start();
  guard_->Compare(Sample("running"));
  ASSERT_TRUE(engine_.WaitForRequests(1));
  EXPECT_TRUE(engine_.Drain(absl::Now() + absl::Seconds(30)).ok());
  EXPECT_TRUE(WaitFor(Dropped("draining", 1)));
  guard_->Compare(Sample("after"));
  EXPECT_TRUE(WaitFor(Dropped("draining", 2)));
}

TEST_F(QualityGuardTest, LeavesOffWhenItIsDestroyed) {
  answers_ = false;
  Start();
  guard_->Compare(Sample("running"));
  guard_->Compare(Sample("waiting"));
  ASSERT_TRUE(engine_.WaitForRequests(1));
  guard_.reset();
  EXPECT_EQ(engine_.num_cancelled(), 1);
  EXPECT_EQ(engine_.requests().size(), 1u);
}

}  // namespace
}  // namespace seer
