#include <memory>
#include <vector>

#include "engine/errors.h"
#include "engine/llama_engine.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/engine/tiny/tiny_gate_set.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

using LlamaEngineSparsityTest = TinyEngineTest;

TEST_F(LlamaEngineSparsityTest, MixedPoliciesTogetherAreAsAlone) {
  options_.policy.allow_oracle_gates = true;
  Start();
  std::vector<GenerationRequest> requests;
  for (const BudgetKind kind :
       {BudgetKind::kDense, BudgetKind::kTargetSparsity,
        BudgetKind::kTopKBlocks, BudgetKind::kTokenBudget,
        BudgetKind::kThreshold}) {
    GenerationRequest request = GreedyRequest(1500, 12, requests.size());
    request.policy = MeanPoolPolicy(kind);
    requests.push_back(std::move(request));
  }
  for (const BudgetKind kind :
       {BudgetKind::kTargetSparsity, BudgetKind::kThreshold}) {
    GenerationRequest request = GreedyRequest(1500, 12, requests.size());
    request.policy = MeanPoolPolicy(kind);
    request.policy->gate->kind = GateChoice::Kind::kOracleMass;
    requests.push_back(std::move(request));
  }
  std::vector<GatheredReply> alone;
  for (const GenerationRequest& request : requests) {
    alone.push_back(Run(request));
    ASSERT_TRUE(alone.back().summary.has_value()) << alone.back().status;
  }
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (const GenerationRequest& request : requests) {
    auto stream = engine_->Submit(request);
    ASSERT_TRUE(stream.ok()) << stream.status();
    streams.push_back(*std::move(stream));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    const GatheredReply together = Gather(*streams[i]);
    ASSERT_TRUE(together.summary.has_value()) << together.status;
    // The seeds are such that no greedy choice is a near-tie.
    EXPECT_EQ(together.choices[0].token_ids, alone[i].choices[0].token_ids);
    const SparsityReport& a = together.summary->sparsity;
    const SparsityReport& b = alone[i].summary->sparsity;
    EXPECT_EQ(a.Visible(), b.Visible());
    if (requests[i].policy->budget.kind != BudgetKind::kThreshold) {
      EXPECT_EQ(a.Selected(), b.Selected());
    }
  }
  EXPECT_GT(observer_.mixed_steps, 0);
}

TEST_F(LlamaEngineSparsityTest, SparsityIsRealizedReportedAndCounted) {
  Start();
  int64_t visible = 0;
  int64_t selected = 0;
  for (const int64_t length : {2048, 4096, 8192}) {
    GenerationRequest request = GreedyRequest(length, 1);
    request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
    const GatheredReply reply = Run(request);
    ASSERT_TRUE(reply.summary.has_value()) << reply.status;
    const SparsityReport& report = reply.summary->sparsity;
    EXPECT_FALSE(report.closest_feasible);
    EXPECT_NEAR(report.RealizedSparsity(), 0.6, 0.005) << length;
    EXPECT_EQ(report.effective.gate, "mean_pool");
    EXPECT_EQ(report.tiles_computed, length / 64);
    ASSERT_EQ(report.layers.size(), 2u);
    visible += report.Visible();
    selected += report.Selected();
  }
  const EngineStats stats = engine_->Stats();
  int64_t counted_visible = 0;
  int64_t counted_selected = 0;
  for (const LayerBlocks& layer : stats.blocks_total) {
    counted_visible += layer.visible;
    counted_selected += layer.selected;
  }
  EXPECT_EQ(counted_visible, visible);
  EXPECT_EQ(counted_selected, selected);
  EXPECT_GT(stats.gate_time_total, absl::ZeroDuration());
}

TEST_F(LlamaEngineSparsityTest, OraclesAreServedWhereTheyAreAllowed) {
  GenerationRequest request = GreedyRequest(4000, 1);
  request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
  request.policy->gate->kind = GateChoice::Kind::kOracleMass;
  Start();
  const absl::Status refused = Refused(request);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(ResourceOf(refused).has_value());
  EXPECT_EQ(ResourceOf(refused)->name, "oracle_mass");
  engine_.reset();
  options_.policy.allow_oracle_gates = true;
  Start();
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  EXPECT_EQ(reply.summary->sparsity.effective.gate, "oracle_mass");
  EXPECT_EQ(reply.summary->sparsity.effective.gate_version, "");
  EXPECT_NEAR(reply.summary->sparsity.RealizedSparsity(), 0.6, 0.005);
}

TEST_F(LlamaEngineSparsityTest, AnInfeasibleTargetIsReported) {
  Start();
  GenerationRequest request = GreedyRequest(1000, 1);
  request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
  request.policy->budget.target_sparsity = 0.99;
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  EXPECT_TRUE(reply.summary->sparsity.closest_feasible);
  EXPECT_LT(reply.summary->sparsity.RealizedSparsity(), 0.99);
}

TEST_F(LlamaEngineSparsityTest, ServesAGateSetFile) {
  Start();
  TinyGateSetOptions gate;
  gate.fingerprint = engine_->model().fingerprint;
  gate.with_profile = true;
  options_.policy.allow_oracle_gates = true;
  for (const char* design :
       {"Qavg_Kmaxminavg", "Qmaxmin_Kavg", "mean_pool", "oracle_max"}) {
    engine_.reset();
    gate.design = design;
    options_.gate_set_file = options_.model_dir + "/gate.safetensors";
    ASSERT_TRUE(WriteTinyGateSet(options_.gate_set_file, gate).ok());
    options_.policy.default_policy =
        MeanPoolPolicy(BudgetKind::kTargetSparsity);
    options_.policy.default_policy.gate.reset();
    Start();
    const std::vector<GateSetInfo> sets = engine_->gate_sets();
    ASSERT_EQ(sets.size(), 2u);
    EXPECT_EQ(sets[1].design, design);
    EXPECT_TRUE(sets[1].stable);
    EXPECT_TRUE(sets[1].has_profile);
    // No policy: the default one, with the stable gate and its profile.
    const GatheredReply reply = Run(GreedyRequest(4000, 2));
    ASSERT_TRUE(reply.summary.has_value()) << reply.status;
    const EffectivePolicy& effective = reply.summary->sparsity.effective;
    EXPECT_EQ(effective.gate, sets[1].name);
    EXPECT_EQ(effective.gate_version, sets[1].version);
    EXPECT_EQ(effective.allocation, Allocation::kProfiled);
    EXPECT_FALSE(reply.summary->sparsity.closest_feasible);
    EXPECT_NEAR(reply.summary->sparsity.RealizedSparsity(), 0.6, 0.005);
  }
}

TEST_F(LlamaEngineSparsityTest, RefusesAnotherModelsGateSet) {
  Start();
  TinyGateSetOptions gate;
  gate.fingerprint = "of another model";
  options_.gate_set_file = options_.model_dir + "/gate.safetensors";
  ASSERT_TRUE(WriteTinyGateSet(options_.gate_set_file, gate).ok());
  EXPECT_EQ(
      LlamaEngine::Create(options_, tokenizer_.get(), nullptr).status().code(),
      absl::StatusCode::kFailedPrecondition);
}

TEST_F(LlamaEngineSparsityTest, ListsItsGates) {
  Start();
  const std::vector<GateSetInfo> sets = engine_->gate_sets();
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(sets[0].name, "mean_pool");
  EXPECT_FALSE(sets[0].stable);
}

}  // namespace
}  // namespace seer
