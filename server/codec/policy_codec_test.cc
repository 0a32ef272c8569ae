#include "server/codec/policy_codec.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/errors.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Edit = std::function<void(v1::SparsityPolicy&)>;

absl::StatusOr<SparsityPolicy> Decode(const Edit& edit) {
  v1::SparsityPolicy policy;
  policy.mutable_dense();  // unless `edit` sets another budget
  edit(policy);
  return DecodePolicy(policy, "sparsity");
}

TEST(PolicyCodecTest, UnsetIsDense) {
  const auto policy = DecodePolicy({}, "sparsity");
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->budget.kind, BudgetKind::kDense);
  EXPECT_FALSE(policy->gate);
  EXPECT_FALSE(policy->allocation);
  EXPECT_FALSE(policy->sink_blocks);
  EXPECT_FALSE(policy->dense_last_blocks);
}

TEST(PolicyCodecTest, TakesTheEndsOfEveryRange) {
  const std::vector<Edit> edits = {
      [](auto& p) { p.mutable_dense(); },
      [](auto& p) { p.set_target_sparsity(0); },
      [](auto& p) { p.set_target_sparsity(std::nextafter(1.0, 0.0)); },
      [](auto& p) { p.set_top_k_blocks(1); },
      [](auto& p) { p.set_top_k_blocks(1048576); },
      [](auto& p) { p.set_token_budget(64); },
      [](auto& p) { p.set_token_budget(67108864); },
      [](auto& p) { p.set_threshold(0); },
      [](auto& p) { p.set_threshold(std::nextafter(1.0, 0.0)); },
      [](auto& p) { p.set_sink_blocks(0); },
      [](auto& p) { p.set_sink_blocks(16); },
      [](auto& p) { p.set_dense_last_blocks(0); },
      [](auto& p) { p.set_dense_last_blocks(1048576); },
      [](auto& p) { p.set_gate_set("models/m/gateSets/a-1"); },
      [](auto& p) {
        p.set_gate_set("models/m/gateSets/" + std::string(63, 'z'));
      },
  };
  for (size_t i = 0; i < edits.size(); ++i) {
    const auto policy = Decode(edits[i]);
    EXPECT_TRUE(policy.ok()) << i << ": " << policy.status();
  }
}

struct Refusal {
  const char* field;
  Edit edit;
};

TEST(PolicyCodecTest, RefusesWhatIsOutOfRangeByItsPath) {
  const std::vector<Refusal> refusals = {
      {"target_sparsity", [](auto& p) { p.set_target_sparsity(1.0); }},
      {"target_sparsity", [](auto& p) { p.set_target_sparsity(-1e-9); }},
      {"target_sparsity", [](auto& p) { p.set_target_sparsity(kNan); }},
      {"target_sparsity", [](auto& p) { p.set_target_sparsity(kInfinity); }},
      {"top_k_blocks", [](auto& p) { p.set_top_k_blocks(0); }},
      {"top_k_blocks", [](auto& p) { p.set_top_k_blocks(-5); }},
      {"top_k_blocks", [](auto& p) { p.set_top_k_blocks(1048577); }},
      {"token_budget", [](auto& p) { p.set_token_budget(63); }},
      {"token_budget", [](auto& p) { p.set_token_budget(67108865); }},
      {"threshold", [](auto& p) { p.set_threshold(1.0); }},
      {"threshold", [](auto& p) { p.set_threshold(-0.1); }},
      {"threshold", [](auto& p) { p.set_threshold(kNan); }},
      {"sink_blocks", [](auto& p) { p.set_sink_blocks(-1); }},
      {"sink_blocks", [](auto& p) { p.set_sink_blocks(17); }},
      {"dense_last_blocks", [](auto& p) { p.set_dense_last_blocks(-1); }},
      {"dense_last_blocks", [](auto& p) { p.set_dense_last_blocks(1048577); }},
      {"gate_set", [](auto& p) { p.set_gate_set(""); }},
      {"gate_set", [](auto& p) { p.set_gate_set("../../etc/passwd"); }},
      {"gate_set", [](auto& p) { p.set_gate_set("models/m/gateSets/"); }},
      {"gate_set", [](auto& p) { p.set_gate_set("models//gateSets/a"); }},
      {"gate_set", [](auto& p) { p.set_gate_set("models/m/gateSets/A"); }},
      {"gate_set", [](auto& p) { p.set_gate_set("models/m/gateSets/a/b"); }},
      {"gate_set",
       [](auto& p) {
         p.set_gate_set("models/m/gateSets/" + std::string(64, 'z'));
       }},
      {"label", [](auto& p) { p.set_label(v1::GATE_LABEL_UNSPECIFIED); }},
      {"label", [](auto& p) { p.set_label(static_cast<v1::GateLabel>(9)); }},
      {"builtin", [](auto& p) { p.set_builtin(v1::BUILTIN_GATE_UNSPECIFIED); }},
      {"builtin",
       [](auto& p) { p.set_builtin(static_cast<v1::BuiltinGate>(9)); }},
      {"allocation",
       [](auto& p) { p.set_allocation(static_cast<v1::Allocation>(9)); }},
  };
  for (const Refusal& refusal : refusals) {
    const auto policy = Decode(refusal.edit);
    EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument)
        << refusal.field;
    EXPECT_EQ(FieldOf(policy.status()),
              "sparsity." + std::string(refusal.field));
  }
}

TEST(PolicyCodecTest, WhatGoesWithABudgetNeedsOne) {
  const std::vector<Refusal> refusals = {
      {"gate_set", [](auto& p) { p.set_gate_set("models/m/gateSets/a"); }},
      {"label", [](auto& p) { p.set_label(v1::GATE_LABEL_STABLE); }},
      {"builtin", [](auto& p) { p.set_builtin(v1::BUILTIN_GATE_MEAN_POOL); }},
      {"allocation", [](auto& p) { p.set_allocation(v1::ALLOCATION_UNIFORM); }},
      {"sink_blocks", [](auto& p) { p.set_sink_blocks(2); }},
      {"dense_last_blocks", [](auto& p) { p.set_dense_last_blocks(0); }},
  };
  for (const Refusal& refusal : refusals) {
    EXPECT_TRUE(Decode(refusal.edit).ok()) << refusal.field;
    v1::SparsityPolicy alone;
    refusal.edit(alone);
    const auto policy = DecodePolicy(alone, "sparsity");
    EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument)
        << refusal.field;
    EXPECT_EQ(FieldOf(policy.status()),
              "sparsity." + std::string(refusal.field));
  }
}

TEST(PolicyCodecTest, EveryPolicySurvivesTheRoundTrip) {
  const std::vector<Edit> budgets = {
      [](auto& p) { p.mutable_dense(); },
      [](auto& p) { p.set_target_sparsity(0.8); },
      [](auto& p) { p.set_top_k_blocks(7); },
      [](auto& p) { p.set_token_budget(4096); },
      [](auto& p) { p.set_threshold(0.01); },
  };
  const std::vector<Edit> gates = {
      [](auto&) {},
      [](auto& p) { p.set_gate_set("models/m/gateSets/a"); },
      [](auto& p) { p.set_label(v1::GATE_LABEL_STABLE); },
      [](auto& p) { p.set_label(v1::GATE_LABEL_CANARY); },
      [](auto& p) { p.set_builtin(v1::BUILTIN_GATE_MEAN_POOL); },
      [](auto& p) { p.set_builtin(v1::BUILTIN_GATE_ORACLE_MAX); },
      [](auto& p) { p.set_builtin(v1::BUILTIN_GATE_ORACLE_MASS); },
  };
  const std::vector<Edit> rests = {
      [](auto&) {},
      [](auto& p) {
        p.set_allocation(v1::ALLOCATION_UNIFORM);
        p.set_sink_blocks(0);
      },
      [](auto& p) {
        p.set_allocation(v1::ALLOCATION_PROFILED);
        p.set_dense_last_blocks(0);
      },
  };
  for (const Edit& budget : budgets) {
    for (const Edit& gate : gates) {
      for (const Edit& rest : rests) {
        v1::SparsityPolicy sent;
        budget(sent);
        gate(sent);
        rest(sent);
        const auto policy = DecodePolicy(sent, "sparsity");
        ASSERT_TRUE(policy.ok()) << policy.status();
        EXPECT_EQ(EncodePolicy(*policy).SerializeAsString(),
                  sent.SerializeAsString())
            << sent.ShortDebugString();
      }
    }
  }
}

TEST(PolicyCodecTest, TheReportSaysWhatWasCounted) {
  SparsityReport report;
  report.requested.budget.kind = BudgetKind::kTargetSparsity;
  report.requested.budget.target_sparsity = 0.75;
  report.effective.budget = report.requested.budget;
  report.effective.gate = "models/m/gateSets/a";
  report.effective.gate_version = "abc";
  report.effective.allocation = Allocation::kProfiled;
  report.effective.sink_blocks = 3;
  report.layers = {{100, 30}, {100, 20}};
  report.tiles_computed = 10;
  report.tiles_reused = 4;
  report.closest_feasible = true;
  const v1::SparsityReport sent = EncodeReport(report, true);
  EXPECT_EQ(sent.requested().target_sparsity(), 0.75);
  EXPECT_EQ(sent.effective().gate_set(), "models/m/gateSets/a");
  EXPECT_EQ(sent.effective().allocation(), v1::ALLOCATION_PROFILED);
  EXPECT_EQ(sent.effective().sink_blocks(), 3);
  EXPECT_TRUE(sent.effective().has_dense_last_blocks());
  EXPECT_EQ(sent.realized_sparsity(), 0.75);
  EXPECT_EQ(sent.blocks_visible(), 200);
  EXPECT_EQ(sent.blocks_selected(), 50);
  EXPECT_EQ(sent.layers(1).blocks_selected(), 20);
  EXPECT_EQ(sent.tiles_computed(), 10);
  EXPECT_EQ(sent.tiles_reused(), 4);
  EXPECT_EQ(sent.gate_version(), "abc");
  EXPECT_TRUE(sent.closest_feasible());
  EXPECT_EQ(sent.dense_fallback(), v1::DENSE_FALLBACK_NONE);
  EXPECT_FALSE(EncodeReport(report, false).has_requested());
}

TEST(PolicyCodecTest, ADenseReportNamesNoGate) {
  SparsityReport report;
  report.effective.dense_fallback = DenseFallback::kShortPrompt;
  const v1::SparsityReport sent = EncodeReport(report, true);
  EXPECT_TRUE(sent.effective().has_dense());
  EXPECT_EQ(sent.effective().gate_case(), v1::SparsityPolicy::GATE_NOT_SET);
  EXPECT_EQ(sent.gate(), "");
  EXPECT_EQ(sent.realized_sparsity(), 0.0);
  EXPECT_EQ(sent.dense_fallback(), v1::DENSE_FALLBACK_SHORT_PROMPT);
}

}  // namespace
}  // namespace seer
