#include "server/metrics/metrics.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "server/metrics/admin_metrics.h"
#include "server/metrics/calibration_metrics.h"
#include "server/metrics/engine_collector.h"
#include "server/metrics/guard_metrics.h"
#include "server/metrics/text_exposition.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {
namespace {

// The line of a series, as `name{labels} value`; "" where it is missing.
std::string Series(const std::string& text, const std::string& start) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, start)) return std::string(line);
  }
  return "";
}

// The names of all families in the text format.
std::set<std::string> Families(const std::string& text) {
  std::set<std::string> names;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words.size() == 4 && words[1] == "TYPE") names.insert(words[2]);
  }
  return names;
}

class MetricsTest : public ::testing::Test {
 protected:
  std::string Text() {
    return ExposeText({&metrics_.registry(), &calibration_.registry(),
                       &admin_.registry(), &guard_.registry(), &collector_});
  }

  Metrics metrics_{"m", "1.2.3"};
  CalibrationMetrics calibration_{"m"};
  AdminMetrics admin_{"m"};
  GuardMetrics guard_{"m"};
  FakeEngine engine_{FakeEngine::Options()};
  EngineCollector collector_{&engine_, "m"};
};

TEST_F(MetricsTest, GateSetsAreShownByTheirRole) {
  FakeEngine::Options options;
  options.gate_sets.resize(3);
  const char* const kNames[] = {"one", "two", "three"};
  for (int i = 0; i < 3; ++i) {
    options.gate_sets[i].name = kNames[i];
    options.gate_sets[i].version = absl::StrCat("digest-", kNames[i]);
  }
  options.gate_sets[0].canary = true;
  options.gate_sets[2].stable = true;
  const FakeEngine engine(options);
  const EngineCollector collector(&engine, "m", [] {
    return std::pair<std::string, std::string>("four", "digest-four");
  });
  const std::string text = ExposeText({&collector});
  std::set<std::string> series;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "seer_gate_set_info{")) {
      series.insert(std::string(line));
    }
  }
  EXPECT_EQ(series, (std::set<std::string>{
                        "seer_gate_set_info{model=\"m\",gate_set=\"one\","
                        "digest=\"digest-one\",role=\"canary\"} 1",
                        "seer_gate_set_info{model=\"m\",gate_set=\"four\","
                        "digest=\"digest-four\",role=\"previous\"} 1",
                        "seer_gate_set_info{model=\"m\",gate_set=\"three\","
                        "digest=\"digest-three\",role=\"stable\"} 1"}));
}

TEST_F(MetricsTest, CountsRequestsByMethodCodeAndFinish) {
  metrics_.CountRequest(Method::kComplete, absl::StatusCode::kOk,
                        FinishLabel::kStop);
  metrics_.CountRequest(Method::kComplete, absl::StatusCode::kOk,
                        FinishLabel::kStop);
  metrics_.CountRequest(Method::kTokenize, absl::StatusCode::kInvalidArgument,
                        FinishLabel::kNone);
  const std::string text = Text();
  EXPECT_EQ(
      Series(text,
             "seer_requests_total{model=\"m\",code=\"OK\",finish_reason="
             "\"stop\",method=\"complete\"}"),
      "seer_requests_total{model=\"m\",code=\"OK\",finish_reason=\"stop\","
      "method=\"complete\"} 2");
  EXPECT_TRUE(absl::StrContains(text,
                                "code=\"INVALID_ARGUMENT\",finish_reason="
                                "\"none\",method=\"tokenize\"} 1"));
}

TEST_F(MetricsTest, PutsObservationsIntoTheRightSeries) {
  metrics_.ObserveFirstToken(4096, BudgetKind::kDense, absl::Milliseconds(3));
  metrics_.ObserveFirstToken(4097, BudgetKind::kThreshold, absl::Seconds(700));
  metrics_.ObserveFirstToken(200000, BudgetKind::kDense, absl::Seconds(1));
  StepReport step;
  step.kind = StepKind::kMixed;
  step.prompt_tokens = 512;
  step.decode_rows = 3;
  step.duration = absl::Milliseconds(40);
  step.compute_time = absl::Milliseconds(30);
  step.predicted_time = absl::Milliseconds(24);
  metrics_.OnStep(step);
  metrics_.ObserveInterToken(absl::Milliseconds(40));
  step.kind = StepKind::kDecode;
  metrics_.OnStep(step);
  metrics_.ObserveInterToken(absl::Milliseconds(5));
  metrics_.CountCancellation(CancelReason::kSlowReader);
  metrics_.CountRejection(RejectReason::kDraining);
  metrics_.OnCancelled(absl::Milliseconds(2));
  metrics_.OnMicroStep(absl::Seconds(2), /*beside_requests=*/false);
  metrics_.OnMicroStep(absl::Milliseconds(250), /*beside_requests=*/true);
  metrics_.OnMicroStep(absl::Milliseconds(500), /*beside_requests=*/true);
  const std::string text = Text();
  const std::string first =
      "seer_time_to_first_token_seconds_bucket{model=\"m\"";
  for (const auto& [series, value] :
       std::vector<std::pair<std::string, std::string>>{
           {first + ",policy=\"dense\",prompt_length=\"<=4k\",le=\"0.002\"}",
            "0"},
           {first + ",policy=\"dense\",prompt_length=\"<=4k\",le=\"0.005\"}",
            "1"},
           {first + ",policy=\"threshold\",prompt_length=\"<=32k\",le=\"640\"}",
            "0"},
           {first +
                ",policy=\"threshold\",prompt_length=\"<=32k\",le=\"+Inf\"}",
            "1"},
           {first + ",policy=\"dense\",prompt_length=\"more\",le=\"1\"}", "1"},
           {"seer_step_prediction_error_ratio_bucket{model=\"m\",kind="
            "\"mixed\",le=\"0.15\"}",
            "0"},
           {"seer_step_prediction_error_ratio_bucket{model=\"m\",kind="
            "\"mixed\",le=\"0.3\"}",
            "1"},
           {"seer_inter_token_latency_seconds_count{model=\"m\",during_prefill="
            "\"1\"}",
            "1"},
           {"seer_inter_token_latency_seconds_count{model=\"m\",during_prefill="
            "\"0\"}",
            "1"},
           {"seer_step_tokens_sum{model=\"m\",kind=\"mixed\"}", "515"},
           {"seer_step_duration_seconds_count{model=\"m\",kind=\"decode\"}",
            "1"},
           {"seer_gate_seconds_count{model=\"m\",phase=\"score_and_select\"}",
            "0"},
           {"seer_cancellations_total{model=\"m\",reason=\"slow_reader\"}",
            "1"},
           {"seer_admission_rejections_total{model=\"m\",reason=\"draining\"}",
            "1"},
           {"seer_cancel_to_free_seconds_count{model=\"m\"}", "1"},
           {"seer_background_device_seconds_total{model=\"m\","
            "beside_requests=\"0\"}",
            "2"},
           {"seer_background_device_seconds_total{model=\"m\","
            "beside_requests=\"1\"}",
            "0.75"},
           {"seer_build_info{model=\"m\",version=\"1.2.3\"}", "1"},
       }) {
    EXPECT_EQ(Series(text, series + " "), series + " " + value);
  }
}

TEST_F(MetricsTest, ObservesTheGapOnlyWhereItMeansSomething) {
  GenerationRequest request;
  request.prompt.assign(64 * 100, 1);
  request.policy.emplace();
  request.policy->budget = {BudgetKind::kTargetSparsity, 0.5, 0, 0, 0};
  SummaryEvent summary;
  summary.sparsity = FakeReport(request, FakeModelInfo());
  metrics_.ObserveCompletion(BudgetKind::kTargetSparsity, summary,
                             absl::Seconds(1));
  summary.sparsity.tiles_reused = 1;
  metrics_.ObserveCompletion(BudgetKind::kTargetSparsity, summary,
                             absl::Seconds(1));
  // The default policy, where no gate set stands behind it.
  summary.sparsity.tiles_reused = 0;
  summary.sparsity.effective.budget.kind = BudgetKind::kDense;
  metrics_.ObserveCompletion(BudgetKind::kTargetSparsity, summary,
                             absl::Seconds(1));
  summary.sparsity.effective.dense_fallback = DenseFallback::kNearDense;
  metrics_.ObserveCompletion(BudgetKind::kThreshold, summary, absl::Seconds(1));
  const std::string text = Text();
  EXPECT_EQ(Series(text, "seer_attention_sparsity_gap_ratio_count"),
            "seer_attention_sparsity_gap_ratio_count{model=\"m\"} 1");
  EXPECT_EQ(
      Series(text,
             "seer_attention_realized_sparsity_ratio_count{model=\"m\",policy="
             "\"target_sparsity\"}"),
      "seer_attention_realized_sparsity_ratio_count{model=\"m\",policy="
      "\"target_sparsity\"} 3");
  EXPECT_TRUE(absl::StrContains(
      text,
      "seer_attention_dense_fallback_total{model=\"m\",reason=\"near_dense\"} "
      "1"));
}

TEST_F(MetricsTest, ReadsTheEngineWhenScraped) {
  EngineStats stats;
  stats.pages_total = 100;
  stats.pages_used = 25;
  stats.pages_cached = 5;
  // More than a float or 6 digits can hold: counters must stay exact.
  stats.blocks_total = {{9007199254740991, 123456789}, {7, 3}};
  stats.last_step_time = absl::UnixEpoch() + absl::Milliseconds(1500);
  stats.healthy = false;
  engine_.SetStats(stats);
  const std::string text = Text();
  for (const char* line : {
           "seer_kv_cache_usage_ratio{model=\"m\"} 0.25",
           "seer_kv_pages{model=\"m\",state=\"free\"} 70",
           "seer_attention_blocks_visible_total{model=\"m\",layer=\"0\"} "
           "9007199254740991",
           "seer_attention_blocks_selected_total{model=\"m\",layer=\"0\"} "
           "123456789",
           "seer_attention_blocks_selected_total{model=\"m\",layer=\"1\"} 3",
           "seer_engine_last_step_timestamp_seconds{model=\"m\"} 1.5",
           "seer_engine_healthy{model=\"m\"} 0",
       }) {
    EXPECT_TRUE(absl::StrContains(text, absl::StrCat(line, "\n"))) << line;
  }
}

TEST_F(MetricsTest, SaysWhatCalibrationDoes) {
  calibration_.SetJobs({1, 2, 3, 4, 5, 6});
  calibration_.SetProgress(0.5, 0.75, 0.25);
  calibration_.ObserveEnd(JobResultLabel::kFailed, absl::Seconds(3));
  const std::string text = Text();
  for (const char* line : {
           "seer_calibration_jobs{model=\"m\",state=\"queued\"} 1",
           "seer_calibration_jobs{model=\"m\",state=\"cancelled\"} 6",
           "seer_calibration_loss{model=\"m\",split=\"training\"} 0.5",
           "seer_calibration_loss{model=\"m\",split=\"validation\"} 0.75",
           "seer_calibration_progress_ratio{model=\"m\"} 0.25",
           "seer_calibration_job_duration_seconds_sum{model=\"m\",result="
           "\"failed\"} 3",
       }) {
    EXPECT_TRUE(absl::StrContains(text, absl::StrCat(line, "\n"))) << line;
  }
}

TEST_F(MetricsTest, CountsActivationsAndUploads) {
  admin_.CountActivation(ActivationResult::kFallback);
  admin_.CountUploadBytes(5);
  admin_.CountUploadBytes(int64_t{1} << 40);
  const std::string text = Text();
  for (const char* line : {
           "seer_gate_activations_total{model=\"m\",result=\"fallback\"} 1",
           "seer_gate_activations_total{model=\"m\",result=\"ok\"} 0",
           "seer_calibration_upload_bytes_total{model=\"m\"} 1099511627781",
       }) {
    EXPECT_TRUE(absl::StrContains(text, absl::StrCat(line, "\n"))) << line;
  }
}

TEST_F(MetricsTest, SaysHowFarSparseAnswersAreFromDenseOnes) {
  const int num_compared = GuardMetrics::kMeanWindow;
  for (int i = 1; i <= num_compared; ++i) guard_.ObserveKl("one", i);
  guard_.ObserveKl("two", 0.25);
  guard_.CountDrop(GuardDropLabel::kLate);
  const std::string one = "{model=\"m\",gate_set=\"one\"} ";
  // The plain mean so far; then the next counts a part of it.
  const double mean = (num_compared + 1) / 2.0;
  std::string text = Text();
  EXPECT_EQ(Series(text, "seer_quality_guard_kl_mean_nats" + one),
            absl::StrCat("seer_quality_guard_kl_mean_nats", one, mean));
  guard_.ObserveKl("one", mean + num_compared);
  text = Text();
  for (const std::string& line :
       {absl::StrCat("seer_quality_guard_kl_mean_nats", one, mean + 1),
        absl::StrCat("seer_quality_guard_kl_nats_count", one, num_compared + 1),
        std::string("seer_quality_guard_kl_nats_bucket{model=\"m\",gate_set="
                    "\"two\",le=\"0.5\"} 1"),
        std::string("seer_quality_guard_dropped_total{model=\"m\",reason="
                    "\"late\"} 1")}) {
    EXPECT_TRUE(absl::StrContains(text, absl::StrCat(line, "\n"))) << line;
  }
}

TEST_F(MetricsTest, GateSetsComparedLongestAgoLoseTheirSeries) {
  for (size_t i = 0; i < GuardMetrics::kMaxGateSets; ++i) {
    guard_.ObserveKl(absl::StrCat("set-", i, "."), 1);
  }
  guard_.ObserveKl("set-0.", 1);
  guard_.ObserveKl("another", 1);
  const std::string text = Text();
  EXPECT_TRUE(absl::StrContains(text, "\"set-0.\""));
  EXPECT_FALSE(absl::StrContains(text, "\"set-1.\""));
  EXPECT_TRUE(absl::StrContains(text, "\"set-2.\""));
  EXPECT_TRUE(absl::StrContains(text, "\"another\""));
}

TEST_F(MetricsTest, TheDocumentListsExactlyTheFamilies) {
  guard_.ObserveKl("one", 1);  // families without series are not shown
  std::ifstream file("docs/metrics.md");
  std::stringstream document;
  document << file.rdbuf();
  std::set<std::string> documented;
  for (const absl::string_view line : absl::StrSplit(document.str(), '\n')) {
    if (!absl::StartsWith(line, "| `seer_")) continue;
    documented.insert(std::vector<std::string>(absl::StrSplit(line, '`'))[1]);
  }
  EXPECT_EQ(documented, Families(Text()));
}

}  // namespace
}  // namespace seer
