#include "engine/gate/policy/policy_resolver.h"

#include <cmath>
#include <utility>

#include "engine/errors.h"
#include "engine/gate/gate_set.h"
#include "engine/gate/mean_pool.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int64_t kLong = 64 * 100;

GateShape Shape() { return {2, 4, 2, 16, DType::kFloat32}; }

std::shared_ptr<const GateSet> StableSet(bool with_profile) {
  auto set = std::make_shared<GateSet>();
  set->name = "models/tiny/gateSets/one";
  set->version = "abc";
  set->gate = std::make_unique<const MeanPool>(Shape());
  if (with_profile) {
    set->profile =
        *BudgetProfile::Create(2, 4, {0.5f}, std::vector<float>(8, 0.5f));
  }
  return set;
}

PolicyResolver WithoutGateSet() {
  return PolicyResolver(Shape(), PolicyOptions(), nullptr);
}
PolicyResolver WithGateSet(bool with_profile) {
  return PolicyResolver(Shape(), PolicyOptions(), StableSet(with_profile));
}

SparsityPolicy Sparsity(double s,
                        std::optional<GateChoice::Kind> gate = std::nullopt) {
  SparsityPolicy policy;
  policy.budget.kind = BudgetKind::kTargetSparsity;
  policy.budget.target_sparsity = s;
  if (gate) policy.gate = GateChoice{*gate, ""};
  return policy;
}

SparsityPolicy TopK(int64_t k) {
  SparsityPolicy policy;
  policy.budget.kind = BudgetKind::kTopKBlocks;
  policy.budget.top_k_blocks = k;
  policy.gate = GateChoice{GateChoice::Kind::kMeanPool, ""};
  return policy;
}

TEST(PolicyResolverTest, UnsetIsDenseWithoutAGateSet) {
  PolicyOptions options;
  options.default_policy = Sparsity(0.8);
  const PolicyResolver none(Shape(), options, nullptr);
  auto resolved = none.Resolve(std::nullopt, kLong);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_TRUE(resolved->plan.dense());
  EXPECT_EQ(resolved->gate_set, nullptr);
  const PolicyResolver some(Shape(), options, StableSet(false));
  resolved = some.Resolve(std::nullopt, kLong);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_FALSE(resolved->plan.dense());
  EXPECT_EQ(resolved->plan.effective.gate, "models/tiny/gateSets/one");
  options.default_policy = Sparsity(0.8, GateChoice::Kind::kMeanPool);
  const PolicyResolver builtin(Shape(), options, nullptr);
  resolved = builtin.Resolve(std::nullopt, kLong);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->plan.effective.gate, "mean_pool");
}

TEST(PolicyResolverTest, LabelsNeedAGateSet) {
  for (const auto& policy :
       {Sparsity(0.5), Sparsity(0.5, GateChoice::Kind::kStable),
        Sparsity(0.5, GateChoice::Kind::kCanary),
        Sparsity(0.0, GateChoice::Kind::kStable)}) {
    const auto resolved = WithoutGateSet().Resolve(policy, kLong);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(ResourceOf(resolved.status()).has_value());
  }
  EXPECT_EQ(WithGateSet(false)
                .Resolve(Sparsity(0.5, GateChoice::Kind::kCanary), kLong)
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(PolicyResolverTest, NamesAreLookedUp) {
  SparsityPolicy policy = Sparsity(0.5, GateChoice::Kind::kNamed);
  policy.gate->name = "models/tiny/gateSets/two";
  auto resolved = WithGateSet(false).Resolve(policy, kLong);
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ResourceOf(resolved.status())->name, "models/tiny/gateSets/two");
  policy.gate->name = "models/tiny/gateSets/one";
  resolved = WithGateSet(false).Resolve(policy, kLong);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->plan.effective.gate_version, "abc");
}

TEST(PolicyResolverTest, AllocationFollowsTheProfile) {
  EXPECT_EQ(WithGateSet(true)
                .Resolve(Sparsity(0.5), kLong)
                ->plan.effective.allocation,
            Allocation::kProfiled);
  EXPECT_EQ(WithGateSet(false)
                .Resolve(Sparsity(0.5), kLong)
                ->plan.effective.allocation,
            Allocation::kUniform);
  SparsityPolicy policy = Sparsity(0.5);
  policy.allocation = Allocation::kProfiled;
  EXPECT_EQ(WithGateSet(false).Resolve(policy, kLong).status().code(),
            absl::StatusCode::kFailedPrecondition);
  policy.gate = GateChoice{GateChoice::Kind::kMeanPool, ""};
  EXPECT_EQ(WithGateSet(true).Resolve(policy, kLong).status().code(),
            absl::StatusCode::kFailedPrecondition);
  policy.allocation = Allocation::kUniform;
  policy.gate.reset();
  EXPECT_EQ(WithGateSet(true).Resolve(policy, kLong)->plan.effective.allocation,
            Allocation::kUniform);
}

TEST(PolicyResolverTest, ValuesOutOfRangeNameTheirField) {
  std::vector<std::pair<SparsityPolicy, const char*>> cases;
  for (const double bad : {1.0, -0.1, std::nan(""), HUGE_VAL}) {
    cases.push_back({Sparsity(bad), "policy.budget.target_sparsity"});
    SparsityPolicy policy;
    policy.budget.kind = BudgetKind::kThreshold;
    policy.budget.threshold = bad;
    cases.push_back({policy, "policy.budget.threshold"});
  }
  cases.push_back({TopK(0), "policy.budget.top_k_blocks"});
  cases.push_back({TopK((1 << 20) + 1), "policy.budget.top_k_blocks"});
  SparsityPolicy policy = TopK(1);
  policy.budget.kind = BudgetKind::kTokenBudget;
  policy.budget.token_budget = 63;
  cases.push_back({policy, "policy.budget.token_budget"});
  policy = TopK(1);
  policy.sink_blocks = 17;
  cases.push_back({policy, "policy.sink_blocks"});
  policy = TopK(1);
  policy.dense_last_blocks = -1;
  cases.push_back({policy, "policy.dense_last_blocks"});
  for (const auto& [bad, field] : cases) {
    const auto resolved = WithGateSet(true).Resolve(bad, kLong);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(resolved.status()).value_or(""), field);
  }
}

TEST(PolicyResolverTest, DefaultsFillWhatIsUnset) {
  PolicyOptions options;
  options.sink_blocks = 3;
  options.dense_last_blocks = 5;
  const PolicyResolver resolver(Shape(), options, nullptr);
  SparsityPolicy policy = TopK(7);
  auto resolved = resolver.Resolve(policy, kLong);
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->plan.effective.sink_blocks, 3);
  EXPECT_EQ(resolved->plan.effective.dense_last_blocks, 5);
  policy.sink_blocks = 0;
  policy.dense_last_blocks = 0;
  resolved = resolver.Resolve(policy, kLong);
  EXPECT_EQ(resolved->plan.effective.sink_blocks, 0);
  EXPECT_EQ(resolved->plan.effective.dense_last_blocks, 0);
}

TEST(PolicyResolverTest, FallsBackWhereSelectionCannotSkip) {
  const PolicyResolver resolver = WithoutGateSet();
  const auto fallback = [&](const SparsityPolicy& policy, int64_t tokens) {
    const auto resolved = resolver.Resolve(policy, tokens);
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->plan.dense(), resolved->gate_set == nullptr);
    return resolved->plan.effective.dense_fallback;
  };
  // One sink, the diagonal and two dense tiles: four tiles read everything.
  EXPECT_EQ(fallback(TopK(1), 4 * 64), DenseFallback::kShortPrompt);
  EXPECT_EQ(fallback(TopK(1), 4 * 64 + 1), DenseFallback::kNone);
  EXPECT_EQ(fallback(TopK(98), kLong), DenseFallback::kNearDense);
  EXPECT_EQ(fallback(TopK(97), kLong), DenseFallback::kNone);
  // An explicit target is served as asked.
  EXPECT_EQ(fallback(Sparsity(0.5, GateChoice::Kind::kMeanPool), 64),
            DenseFallback::kNone);
}

TEST(PolicyResolverTest, FallbackOptions) {
  PolicyOptions options;
  options.dense_fallback.short_prompt_tokens = 1000;
  options.dense_fallback.near_dense_density = 0.9;
  options.dense_fallback.for_target_sparsity = true;
  const PolicyResolver resolver(Shape(), options, nullptr);
  const auto fallback = [&](double s, int64_t tokens) {
    return resolver.Resolve(Sparsity(s, GateChoice::Kind::kMeanPool), tokens)
        ->plan.effective.dense_fallback;
  };
  EXPECT_EQ(fallback(0.5, 999), DenseFallback::kShortPrompt);
  EXPECT_EQ(fallback(0.5, 1000), DenseFallback::kNone);
  EXPECT_EQ(fallback(0.05, kLong), DenseFallback::kNearDense);
  EXPECT_EQ(fallback(0.15, kLong), DenseFallback::kNone);
}

TEST(PolicyResolverTest, OptionsAreChecked) {
  EXPECT_TRUE(PolicyOptions().Validate().ok());
  PolicyOptions options;
  options.sink_blocks = 17;
  EXPECT_FALSE(options.Validate().ok());
  options = PolicyOptions();
  options.default_policy = Sparsity(1.0);
  EXPECT_FALSE(options.Validate().ok());
  options = PolicyOptions();
  options.dense_fallback.near_dense_density = std::nan("");
  EXPECT_FALSE(options.Validate().ok());
}

TEST(PolicyResolverTest, ListsItsGateSets) {
  EXPECT_EQ(WithoutGateSet().gate_sets().size(), 1u);
  EXPECT_EQ(WithGateSet(true).gate_sets().size(), 2u);
}

}  // namespace
}  // namespace seer
