// What a request asks of block-sparse attention, and what it got.
#ifndef SEER_ENGINE_SPARSITY_POLICY_H_
#define SEER_ENGINE_SPARSITY_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace seer {

// How many key blocks a request may read. See ARCHITECTURE.md for the rules.
enum class BudgetKind {
  kDense,
  kTargetSparsity,
  kTopKBlocks,
  kTokenBudget,
  kThreshold,
};

struct Budget {
  BudgetKind kind = BudgetKind::kDense;
  double target_sparsity = 0.0;  // kTargetSparsity: [0, 1)
  int64_t top_k_blocks = 0;      // kTopKBlocks: >= 1
  int64_t token_budget = 0;      // kTokenBudget: >= 64; floor(t / 64) blocks
  double threshold = 0.0;        // kThreshold: [0, 1)
};

// Names of built-in gates, beside "mean_pool". Oracles rank blocks by the true
// attention, which they compute: for comparison, never for speed.
inline constexpr char kOracleMaxName[] = "oracle_max";
inline constexpr char kOracleMassName[] = "oracle_mass";

// Which gate scores the blocks.
struct GateChoice {
  enum class Kind {
    kStable,      // the gate set requests use by default
    kCanary,      // the one on trial
    kNamed,       // `name`
    kMeanPool,    // built in: block means of roped Q and K
    kOracleMax,   // the true largest probability of a block, where allowed
    kOracleMass,  // the true mean mass of a block, where allowed
  };
  Kind kind = Kind::kStable;
  std::string name;  // kNamed: models/{model}/gateSets/{id}
};

// How target_sparsity is spread over the heads of a layer.
enum class Allocation {
  kUniform,   // every head gets 1 - s
  kProfiled,  // by the gate set's budget profile
};

// Unset fields take the server's defaults.
struct SparsityPolicy {
  Budget budget;
  std::optional<GateChoice> gate;        // unset: kStable
  std::optional<Allocation> allocation;  // unset: profiled where there is one
  std::optional<int32_t> sink_blocks;    // 0..16
  std::optional<int32_t> dense_last_blocks;  // >= 0
};

// Why a request ran dense although its budget was not.
enum class DenseFallback {
  kNone,
  kShortPrompt,  // too few blocks for selection to pay
  kNearDense,    // the budget leaves almost every block
};

// The policy after defaults and dense fallback: what was computed.
struct EffectivePolicy {
  Budget budget;     // kDense after a fallback, or where s = 0 or t = 0
  std::string gate;  // a built-in gate's or a gate set's name, or "" (dense)
  std::string gate_version;  // digest of the gate set's file; "" if built in
  Allocation allocation = Allocation::kUniform;
  int32_t sink_blocks = 1;
  int32_t dense_last_blocks = 2;
  DenseFallback dense_fallback = DenseFallback::kNone;
};

// Blocks of one layer, over the prompt's tiles and heads computed for this
// request. Counted from the sets the kernels read.
struct LayerBlocks {
  int64_t visible = 0;
  int64_t selected = 0;
};

struct SparsityReport {
  SparsityPolicy requested;
  EffectivePolicy effective;
  std::vector<LayerBlocks> layers;  // [num_layers]
  int64_t tiles_computed = 0;
  int64_t tiles_reused = 0;       // from the prefix cache
  bool closest_feasible = false;  // forced blocks alone exceed the budget

  int64_t Visible() const {
    int64_t sum = 0;
    for (const LayerBlocks& layer : layers) sum += layer.visible;
    return sum;
  }
  int64_t Selected() const {
    int64_t sum = 0;
    for (const LayerBlocks& layer : layers) sum += layer.selected;
    return sum;
  }
  // 1 - selected / visible; 0 when nothing was computed.
  double RealizedSparsity() const {
    const int64_t visible = Visible();
    return visible == 0 ? 0.0 : 1.0 - static_cast<double>(Selected()) / visible;
  }
};

}  // namespace seer

#endif  // SEER_ENGINE_SPARSITY_POLICY_H_
