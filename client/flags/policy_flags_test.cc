#include "client/flags/policy_flags.h"

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::StartsWith;

// The policy in text format; "none"; or the error's message.
std::string Parse(const std::vector<std::string>& args) {
  FlagSet flags;
  PolicyFlags policy_flags;
  policy_flags.AddTo(&flags);
  if (const auto parsed = flags.Parse(args); !parsed.ok()) {
    return std::string(parsed.status().message());
  }
  const auto policy = policy_flags.Policy();
  if (!policy.ok()) return std::string(policy.status().message());
  if (!policy->has_value()) return "none";
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(**policy, &text);
  return text;
}

TEST(PolicyFlagsTest, LeavesTheDefaultToTheServer) {
  EXPECT_EQ(Parse({}), "none");
}

TEST(PolicyFlagsTest, SetsEachBudget) {
  EXPECT_EQ(Parse({"--dense"}), "dense { } ");
  EXPECT_EQ(Parse({"--target_sparsity=0.5"}), "target_sparsity: 0.5 ");
  EXPECT_EQ(Parse({"--target_sparsity=0"}), "target_sparsity: 0 ");
  EXPECT_EQ(Parse({"--top_k_blocks=4000000000"}), "top_k_blocks: 4000000000 ");
  EXPECT_EQ(Parse({"--token_budget=4096"}), "token_budget: 4096 ");
  EXPECT_EQ(Parse({"--threshold=0.25"}), "threshold: 0.25 ");
}

TEST(PolicyFlagsTest, SendsWhatTheServerWillRefuse) {
  EXPECT_EQ(Parse({"--target_sparsity=nan"}), "target_sparsity: nan ");
  EXPECT_EQ(Parse({"--top_k_blocks=0"}), "top_k_blocks: 0 ");
}

TEST(PolicyFlagsTest, NamesGates) {
  EXPECT_EQ(Parse({"--gate=mean_pool"}), "builtin: BUILTIN_GATE_MEAN_POOL ");
  EXPECT_EQ(Parse({"--gate=oracle_max"}), "builtin: BUILTIN_GATE_ORACLE_MAX ");
  EXPECT_EQ(Parse({"--gate=oracle_mass"}),
            "builtin: BUILTIN_GATE_ORACLE_MASS ");
  EXPECT_EQ(Parse({"--gate=stable"}), "label: GATE_LABEL_STABLE ");
  EXPECT_EQ(Parse({"--gate=canary"}), "label: GATE_LABEL_CANARY ");
  EXPECT_EQ(Parse({"--gate=models/m/gateSets/g"}),
            "gate_set: \"models/m/gateSets/g\" ");
}

TEST(PolicyFlagsTest, SetsTheRest) {
  EXPECT_EQ(Parse({"--allocation=uniform", "--sink_blocks=0",
                   "--dense_last_blocks=3"}),
            "allocation: ALLOCATION_UNIFORM sink_blocks: 0 "
            "dense_last_blocks: 3 ");
  EXPECT_EQ(Parse({"--allocation=profiled"}),
            "allocation: ALLOCATION_PROFILED ");
}

TEST(PolicyFlagsTest, RefusesContradictions) {
  EXPECT_THAT(Parse({"--dense", "--target_sparsity=0.5"}),
              StartsWith("give one of --dense"));
  EXPECT_THAT(Parse({"--top_k_blocks=1", "--threshold=0.5"}),
              StartsWith("give one of --dense"));
  EXPECT_EQ(Parse({"--allocation=fair"}),
            "an allocation cannot be \"fair\": must be uniform or profiled");
  EXPECT_THAT(Parse({"--gate=nosuch"}),
              StartsWith("a gate cannot be \"nosuch\": must be mean_pool, "
                         "stable, canary, oracle_max"));
}

}  // namespace
}  // namespace seer
