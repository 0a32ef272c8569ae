#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "client/evaluation/needle/needle_prompts.h"
#include "client/evaluation/perplexity/perplexity_report.h"
#include "client/evaluation/perplexity/perplexity_sums.h"
#include "client/evaluation/policy_grid.h"
#include "client/evaluation/token_windows.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

TEST(TokenWindowsTest, SpreadOverTheTextWithoutOverlap) {
  EXPECT_THAT(WindowStarts(100, 10, 4), ElementsAre(0, 30, 60, 90));
  EXPECT_THAT(WindowStarts(100, 10, 1), ElementsAre(0));
  EXPECT_THAT(WindowStarts(9, 10, 4), IsEmpty());
  EXPECT_THAT(WindowStarts(10, 10, 4), ElementsAre(0));
  // As many as fit, with no token to spare and with some.
  EXPECT_THAT(WindowStarts(30, 10, 9), ElementsAre(0, 10, 20));
  EXPECT_THAT(WindowStarts(39, 10, 9), ElementsAre(0, 14, 29));
}

TEST(PerplexitySumsTest, SplitsOffTheLastQuarter) {
  // Eight tokens: those at 6 and 7 are the last quarter.
  const std::vector<double> logprobs = {-1, -1, -1, -1, -1, -2, -4};
  PerplexitySums sums = SumsOf(
      logprobs,
      Parse<v1::SparsityReport>("blocks_visible: 10 blocks_selected: 5"));
  EXPECT_EQ(sums.whole.num_tokens, 7);
  EXPECT_DOUBLE_EQ(sums.whole.Perplexity(), std::exp(11.0 / 7));
  EXPECT_EQ(sums.last_quarter.num_tokens, 2);
  EXPECT_DOUBLE_EQ(sums.last_quarter.Perplexity(), std::exp(3.0));
  // Windows are weighed by what they hold.
  sums.Add(SumsOf({-3.0}, Parse<v1::SparsityReport>(
                              "blocks_visible: 2 blocks_selected: 2 "
                              "dense_fallback: DENSE_FALLBACK_SHORT_PROMPT")));
  EXPECT_DOUBLE_EQ(sums.whole.Perplexity(), std::exp(14.0 / 8));
  EXPECT_DOUBLE_EQ(sums.RealizedDensity(), 7.0 / 12);
  EXPECT_TRUE(sums.dense_fallback);
  EXPECT_TRUE(std::isnan(NllSum().Perplexity()));
}

TEST(PolicyGridTest, LeavesOutProfilesThatAreNotThere) {
  const v1::Model model = Parse<v1::Model>(R"(
    gate_sets { name: 'mean_pool' }
    gate_sets { name: 'models/m/gateSets/g' has_profile: true
                labels: GATE_LABEL_STABLE })");
  PolicyAxes axes;
  axes.densities = {0.25, 1, 0.5};
  axes.gates = {"mean_pool", "stable", "oracle_mass", "models/m/gateSets/new"};
  axes.allocations = {"uniform", "profiled"};
  axes.dense_last_blocks = 0;
  const auto grid = MakePolicyGrid(axes, model);
  ASSERT_TRUE(grid.ok()) << grid.status();
  std::vector<std::string> lines;
  for (const GridPolicy& policy : grid->policies) {
    if (lines.empty() || lines.back() != policy.Line()) {
      lines.push_back(policy.Line());
    }
  }
  EXPECT_THAT(lines, ElementsAre("dense", "mean_pool uniform", "stable uniform",
                                 "stable profiled", "oracle_mass uniform",
                                 "models/m/gateSets/new uniform",
                                 "models/m/gateSets/new profiled"));
  EXPECT_THAT(grid->left_out,
              ElementsAre("mean_pool profiled: it has no budget profile",
                          "oracle_mass profiled: it has no budget profile"));
  EXPECT_EQ(grid->policies[0].policy.ShortDebugString(), "dense { }");
  EXPECT_EQ(grid->policies[2].policy.ShortDebugString(),
            "target_sparsity: 0.75 builtin: BUILTIN_GATE_MEAN_POOL allocation: "
            "ALLOCATION_UNIFORM dense_last_blocks: 0");
}

TEST(PolicyGridTest, RefusesAxesThatAreNone) {
  const auto refuses = [](std::vector<double> densities, std::string gate) {
    PolicyAxes axes;
    axes.densities = std::move(densities);
    axes.gates = {gate};
    return absl::IsInvalidArgument(axes.Validate());
  };
  EXPECT_FALSE(refuses({0.1, 1}, "canary"));
  EXPECT_TRUE(refuses({0}, "canary"));
  EXPECT_TRUE(refuses({1.5}, "canary"));
  EXPECT_TRUE(refuses({std::nan("")}, "canary"));
  EXPECT_TRUE(refuses({0.5, 0.5}, "canary"));
  EXPECT_TRUE(refuses({0.5}, "oracle"));
}

TEST(PerplexityReportTest, ComparesWithDenseAndMarksMisses) {
  PerplexityReport report;
  report.policies = {{}, {0.5, "g", "uniform", {}}, {0.25, "g", "uniform", {}}};
  const auto add = [&](double nll, int64_t selected, absl::Status status) {
    PerplexityCell& cell = report.cells.emplace_back();
    cell.text = "novel";
    cell.length = 64;
    cell.policy = (report.cells.size() - 1) % 3;
    cell.status = status;
    cell.sums.whole = cell.sums.last_quarter = {nll, 1};
    cell.sums.blocks_visible = 1000;
    cell.sums.blocks_selected = selected;
  };
  add(std::log(10), 1000, absl::OkStatus());
  add(std::log(11), 501, absl::OkStatus());
  add(std::log(12), 253, absl::OkStatus());
  add(0, 0, absl::InternalError("broken"));
  add(std::log(11), 500, absl::OkStatus());
  add(0, 0, absl::NotFoundError("gone"));
  const Json json = PerplexityJson(report);
  EXPECT_EQ(json["num_failed"], 2);
  EXPECT_NEAR(json["cells"][1]["relative_to_dense"], 0.1, 1e-12);
  EXPECT_EQ(json["cells"][1]["density_missed"], false);
  EXPECT_EQ(json["cells"][2]["density_missed"], true);
  EXPECT_EQ(json["cells"][3]["error"]["message"], "broken");
  // NaN: a dense cell that failed is compared with by nobody.
  EXPECT_EQ(ToText(json["cells"][4]["relative_to_dense"]), "null");
  const std::string table = PerplexityTable(report);
  EXPECT_THAT(table, HasSubstr("11.0000   +10.00 %"));
  EXPECT_THAT(table, HasSubstr("+20.00 %  density missed\n"));
  EXPECT_THAT(table, HasSubstr("failed: NOT_FOUND: gone\n"));
  const std::string plot = PerplexityPlot(report);
  EXPECT_THAT(plot, HasSubstr(">novel, 64 tokens</text>"));
  EXPECT_THAT(plot, Not(HasSubstr("nan")));
}

TEST(NeedlePromptsTest, FactsAreTheSameForASeed) {
  const std::vector<Needle> needles = MakeNeedles(1000, 7);
  const std::vector<Needle> again = MakeNeedles(2, 7);
  EXPECT_EQ(again[1].key, needles[1].key);
  EXPECT_EQ(again[1].value, needles[1].value);
  EXPECT_NE(MakeNeedles(1, 8)[0].value, needles[0].value);
  EXPECT_EQ(NeedleSentence({"Tamoru", "48213"}),
            "The secret number of Tamoru is 48213.\n");
  EXPECT_EQ(NeedleAnswer("Tamoru", "48213"),
            "\nThe secret number of Tamoru is 48213");
}

TEST(NeedlePromptsTest, HidesFactsAfterLineBreaks) {
  const std::vector<int32_t> filler = {1, 0, 2, 3, 0, 4, 5, 6};
  HaystackArgs args;
  args.filler = filler;
  args.sentences = {{90}, {91, 92}};
  args.line_breaks = {0};
  args.depth = 0.9;  // at 7, after the break at 4; the other at 4, after 1
  EXPECT_THAT(BuildHaystack(args),
              ElementsAre(1, 0, 91, 92, 2, 3, 0, 90, 4, 5, 6));
  args.depth = 0;
  EXPECT_THAT(BuildHaystack(args),
              ElementsAre(90, 1, 0, 91, 92, 2, 3, 0, 4, 5, 6));
  // No break in sight: where it was asked for.
  const std::vector<int32_t> unbroken(400, 1);
  args.filler = unbroken;
  args.sentences.resize(1);
  args.depth = 0.5;
  EXPECT_EQ(BuildHaystack(args)[200], 90);
}

TEST(NeedlePromptsTest, RanksTheFirst) {
  EXPECT_EQ(RankOfFirst({-1.0, -2.0, -3.0}), 1);
  EXPECT_EQ(RankOfFirst({-2.0, -1.0, -3.0}), 2);
  EXPECT_EQ(RankOfFirst({-1.0, -1.0, -1.0}), 3);
  EXPECT_EQ(CommonPrefix({{1, 2, 3}, {1, 2, 4}, {1, 2, 3, 5}}), 2);
  EXPECT_EQ(CommonPrefix({{1, 2}, {1, 2, 4}}), 2);
}

}  // namespace
}  // namespace seer
