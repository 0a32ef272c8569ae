#include "engine/gate/policy/policy_resolver.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/errors.h"
#include "engine/gate/gate_set.h"
#include "engine/gate/mean_pool.h"
#include "engine/gate/oracle.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int64_t kLong = 64 * 100;

GateShape Shape() { return {2, 4, 2, 16, DType::kFloat32}; }

InstalledGateSetPtr Installed(const char* id, bool with_profile = false) {
  auto set = std::make_shared<GateSet>();
  set->name = absl::StrCat("models/tiny/gateSets/", id);
  set->version = absl::StrCat("digest-", id);
  set->gate = std::make_unique<const MeanPool>(Shape());
  if (with_profile) {
    set->profile =
        *BudgetProfile::Create(2, 4, {0.5f}, std::vector<float>(8, 0.5f));
  }
  auto installed = std::make_shared<InstalledGateSet>();
  installed->set = std::move(set);
  return installed;
}

GateTable WithoutGateSet() {
  GateTable table;
  auto mean_pool = std::make_shared<InstalledGateSet>();
  mean_pool->set = BuiltinMeanPool(Shape());
  table.mean_pool = std::move(mean_pool);
  return table;
}
GateTable WithGateSet(bool with_profile) {
  GateTable table = WithoutGateSet();
  table.sets = {Installed("one", with_profile)};
  table.stable = table.sets[0];
  return table;
}
// "one" is stable, "two" the canary.
GateTable WithCanary(double fraction) {
  GateTable table = WithGateSet(false);
  table.sets.push_back(Installed("two"));
  table.canary = table.sets[1];
  table.canary_fraction = fraction;
  return table;
}

absl::StatusOr<ResolvedPolicy> Resolve(
    const GateTable& table, const std::optional<SparsityPolicy>& policy,
    int64_t prompt_len, const PolicyOptions& options = PolicyOptions()) {
  return PolicyResolver(Shape(), options)
      .Resolve(table, policy, "r-1", prompt_len);
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
  auto resolved = Resolve(WithoutGateSet(), std::nullopt, kLong, options);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_TRUE(resolved->plan.dense());
  EXPECT_EQ(resolved->gate_set, nullptr);
  EXPECT_EQ(resolved->requested.budget.target_sparsity, 0.8);
  resolved = Resolve(WithGateSet(false), std::nullopt, kLong, options);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_FALSE(resolved->plan.dense());
  EXPECT_EQ(resolved->plan.effective.gate, "models/tiny/gateSets/one");
  options.default_policy = Sparsity(0.8, GateChoice::Kind::kMeanPool);
  resolved = Resolve(WithoutGateSet(), std::nullopt, kLong, options);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->plan.effective.gate, "mean_pool");
}

TEST(PolicyResolverTest, LabelsNeedAGateSet) {
  for (const auto& policy :
       {Sparsity(0.5), Sparsity(0.5, GateChoice::Kind::kStable),
        Sparsity(0.5, GateChoice::Kind::kCanary),
        Sparsity(0.0, GateChoice::Kind::kStable)}) {
    const auto resolved = Resolve(WithoutGateSet(), policy, kLong);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(ResourceOf(resolved.status()).has_value());
  }
  EXPECT_EQ(Resolve(WithGateSet(false),
                    Sparsity(0.5, GateChoice::Kind::kCanary), kLong)
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(PolicyResolverTest, NamesAreLookedUp) {
  SparsityPolicy policy = Sparsity(0.5, GateChoice::Kind::kNamed);
  policy.gate->name = "models/tiny/gateSets/three";
  auto resolved = Resolve(WithGateSet(false), policy, kLong);
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ResourceOf(resolved.status())->name, "models/tiny/gateSets/three");
  policy.gate->name = "models/tiny/gateSets/one";
  resolved = Resolve(WithGateSet(false), policy, kLong);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->plan.effective.gate_version, "digest-one");
}

TEST(PolicyResolverTest, AllocationFollowsTheProfile) {
  EXPECT_EQ(Resolve(WithGateSet(true), Sparsity(0.5), kLong)
                ->plan.effective.allocation,
            Allocation::kProfiled);
  EXPECT_EQ(Resolve(WithGateSet(false), Sparsity(0.5), kLong)
                ->plan.effective.allocation,
            Allocation::kUniform);
  SparsityPolicy policy = Sparsity(0.5);
  policy.allocation = Allocation::kProfiled;
  EXPECT_EQ(Resolve(WithGateSet(false), policy, kLong).status().code(),
            absl::StatusCode::kFailedPrecondition);
  policy.gate = GateChoice{GateChoice::Kind::kMeanPool, ""};
  EXPECT_EQ(Resolve(WithGateSet(true), policy, kLong).status().code(),
            absl::StatusCode::kFailedPrecondition);
  policy.allocation = Allocation::kUniform;
  policy.gate.reset();
  EXPECT_EQ(
      Resolve(WithGateSet(true), policy, kLong)->plan.effective.allocation,
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
    const auto resolved = Resolve(WithGateSet(true), bad, kLong);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(resolved.status()).value_or(""), field);
  }
}

TEST(PolicyResolverTest, DefaultsFillWhatIsUnset) {
  PolicyOptions options;
  options.sink_blocks = 3;
  options.dense_last_blocks = 5;
  SparsityPolicy policy = TopK(7);
  auto resolved = Resolve(WithoutGateSet(), policy, kLong, options);
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->plan.effective.sink_blocks, 3);
  EXPECT_EQ(resolved->plan.effective.dense_last_blocks, 5);
  policy.sink_blocks = 0;
  policy.dense_last_blocks = 0;
  resolved = Resolve(WithoutGateSet(), policy, kLong, options);
  EXPECT_EQ(resolved->plan.effective.sink_blocks, 0);
  EXPECT_EQ(resolved->plan.effective.dense_last_blocks, 0);
}

TEST(PolicyResolverTest, OraclesWhereTheyAreAllowed) {
  const SparsityPolicy max = Sparsity(0.5, GateChoice::Kind::kOracleMax);
  SparsityPolicy mass = TopK(4);
  mass.gate->kind = GateChoice::Kind::kOracleMass;
  const absl::Status refused = Resolve(WithoutGateSet(), max, kLong).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(ResourceOf(refused).has_value());
  EXPECT_EQ(ResourceOf(refused)->name, "oracle_max");

  PolicyOptions options;
  options.allow_oracle_gates = true;
  const auto resolve = [&](const SparsityPolicy& policy) {
    return Resolve(WithoutGateSet(), policy, kLong, options);
  };
  auto resolved = resolve(max);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->gate_set, nullptr);
  EXPECT_EQ(resolved->plan.oracle, Oracle::kMax);
  EXPECT_EQ(resolved->plan.effective.gate, "oracle_max");
  EXPECT_FALSE(resolved->plan.row_budgets.empty());
  resolved = resolve(mass);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->plan.oracle, Oracle::kMass);
  EXPECT_EQ(resolved->plan.effective.gate, "oracle_mass");
  // Nothing to rank.
  resolved = resolve(Sparsity(0, GateChoice::Kind::kOracleMax));
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->plan.oracle, Oracle::kNone);
  EXPECT_EQ(resolved->plan.effective.gate, "");
  mass.allocation = Allocation::kProfiled;
  EXPECT_EQ(resolve(mass).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(PolicyResolverTest, AGateSetForAnOracleBringsItsProfile) {
  auto set = std::make_shared<GateSet>();
  set->name = "models/tiny/gateSets/oracle";
  set->version = "cafe";
  set->gate = std::make_unique<const OracleGate>(Oracle::kMass);
  set->profile = *BudgetProfile::Create(
      Shape().num_layers, Shape().num_query_heads, {0.5f},
      std::vector<float>(Shape().num_layers * Shape().num_query_heads, 0.5f));
  auto installed = std::make_shared<InstalledGateSet>();
  installed->set = set;
  GateTable gates = WithoutGateSet();
  gates.sets = {installed};
  SparsityPolicy policy = Sparsity(0.5, GateChoice::Kind::kNamed);
  policy.gate->name = set->name;
  const auto resolved = Resolve(gates, policy, kLong);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->plan.oracle, Oracle::kMass);
  EXPECT_EQ(resolved->plan.effective.gate, set->name);
  EXPECT_EQ(resolved->plan.effective.gate_version, "cafe");
  EXPECT_EQ(resolved->plan.effective.allocation, Allocation::kProfiled);
  EXPECT_EQ(resolved->gate_set, installed);
}

TEST(PolicyResolverTest, FallsBackWhereSelectionCannotSkip) {
  const auto fallback = [&](const SparsityPolicy& policy, int64_t tokens) {
    const auto resolved = Resolve(WithoutGateSet(), policy, tokens);
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
  const auto fallback = [&](double s, int64_t tokens) {
    return Resolve(WithoutGateSet(), Sparsity(s, GateChoice::Kind::kMeanPool),
                   tokens, options)
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

// Of requests 0..999, those whose gate is "two".
std::set<int> ChosenForTheCanary(const GateTable& table,
                                 const SparsityPolicy& policy) {
  const PolicyResolver resolver(Shape(), PolicyOptions());
  std::set<int> chosen;
  for (int i = 0; i < 1000; ++i) {
    const auto resolved =
        resolver.Resolve(table, policy, absl::StrCat("request-", i), kLong);
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    if (resolved->gate_set == table.canary) chosen.insert(i);
  }
  return chosen;
}

TEST(PolicyResolverTest, TheCanaryTakesItsFraction) {
  const SparsityPolicy policy = Sparsity(0.5);
  EXPECT_EQ(ChosenForTheCanary(WithCanary(0), policy).size(), 0u);
  EXPECT_EQ(ChosenForTheCanary(WithCanary(1), policy).size(), 1000u);
  const std::set<int> quarter = ChosenForTheCanary(WithCanary(0.25), policy);
  // Six standard deviations of a fair draw; the ids are fixed.
  EXPECT_NEAR(static_cast<double>(quarter.size()), 250,
              6 * std::sqrt(1000 * 0.25 * 0.75));
  // Who was in a small fraction is in a larger one.
  const std::set<int> half = ChosenForTheCanary(WithCanary(0.5), policy);
  EXPECT_TRUE(
      std::includes(half.begin(), half.end(), quarter.begin(), quarter.end()));
  // A request that names its gate is no subject of the trial.
  EXPECT_EQ(ChosenForTheCanary(WithCanary(1),
                               Sparsity(0.5, GateChoice::Kind::kStable))
                .size(),
            0u);
  EXPECT_EQ(ChosenForTheCanary(WithCanary(0),
                               Sparsity(0.5, GateChoice::Kind::kCanary))
                .size(),
            1000u);
}

TEST(PolicyResolverTest, TheCanarysHashIsTheDocumentedOne) {
  // SHA-256 of "abc" begins ba7816bf 8f01cfea (FIPS 180-4).
  EXPECT_EQ(CanaryPoint("abc"),
            static_cast<double>(0xba7816bf8f01cfeaULL >> 11) * 0x1p-53);
}

TEST(PolicyResolverTest, ACanaryAloneServesOnlyWhomItIsFor) {
  GateTable table = WithCanary(0.5);
  table.stable = nullptr;
  PolicyOptions options;
  options.default_policy = Sparsity(0.8);
  const PolicyResolver resolver(Shape(), options);
  int num_sparse = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string id = absl::StrCat("request-", i);
    const bool is_canary = CanaryPoint(id) < 0.5;
    num_sparse += is_canary;
    const auto by_default = resolver.Resolve(table, std::nullopt, id, kLong);
    ASSERT_TRUE(by_default.ok()) << by_default.status();
    EXPECT_EQ(by_default->gate_set, is_canary ? table.canary : nullptr);
    const auto asked = resolver.Resolve(table, Sparsity(0.5), id, kLong);
    EXPECT_EQ(asked.status().code(),
              is_canary ? absl::StatusCode::kOk
                        : absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_GT(num_sparse, 0);
  EXPECT_LT(num_sparse, 100);
}

}  // namespace
}  // namespace seer
