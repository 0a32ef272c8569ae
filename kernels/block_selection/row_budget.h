// How many key blocks each tile of a prompt may read under a target density:
// the same number on every row, found in integers so that every backend and
// every chunking agrees.
#ifndef SEER_KERNELS_BLOCK_SELECTION_ROW_BUDGET_H_
#define SEER_KERNELS_BLOCK_SELECTION_ROW_BUDGET_H_

#include <algorithm>
#include <cstdint>

namespace seer {

// The rows a budget is spread over: a prompt of `num_tiles` tiles, of which
// the last `dense_last_blocks` read everything and every row reads its
// diagonal block (if keep_diagonal) and the first `sink_blocks`.
struct RowBudgetShape {
  int64_t num_tiles = 0;
  int32_t sink_blocks = 1;
  int32_t dense_last_blocks = 2;
  bool keep_diagonal = true;
};

// Blocks that tile i reads whatever the gate says. constexpr, as what follows,
// so that device code may call it.
constexpr int64_t ForcedBlocks(const RowBudgetShape& s, int64_t i) {
  return std::min<int64_t>(i + 1, s.sink_blocks + (s.keep_diagonal ? 1 : 0));
}

// Whether tile i is one of the dense last tiles.
constexpr bool IsDenseTile(const RowBudgetShape& s, int64_t i) {
  return i >= s.num_tiles - s.dense_last_blocks;
}

// Blocks that tile i (not a dense one) reads under the row budget K, in units
// of 1/1024 of a block: K's fraction is spread over rows, so that counts stay
// integers and their sum follows K.
constexpr int64_t RowCount(const RowBudgetShape& s, int64_t i, int64_t k_1024) {
  const int64_t f = k_1024 & 1023;
  const int64_t count =
      (k_1024 >> 10) + (((i + 1) * f) >> 10) - ((i * f) >> 10);
  return std::max(ForcedBlocks(s, i), std::min<int64_t>(i + 1, count));
}

struct RowBudget {
  int64_t k_1024 = 0;
  // False when forced and dense rows alone exceed the density: K is then 0.
  bool feasible = true;
};

// The smallest K whose rows sum to at least `density` (in (0, 1]) of the
// causal triangle. The search is over integers; the target
// density * n (n + 1) / 2 * 1024 is compared as a double.
RowBudget SolveRowBudget(const RowBudgetShape& shape, double density);

// Blocks read by one head over the whole prompt under K.
int64_t SumRowCounts(const RowBudgetShape& shape, int64_t k_1024);

// The density that forced blocks and dense tiles alone impose, in (0, 1].
double FloorDensity(const RowBudgetShape& shape);

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_ROW_BUDGET_H_
