#include "kernels/block_selection/row_budget.h"

#include <algorithm>
#include <cstdint>

namespace seer {
namespace {

int64_t Triangle(int64_t n) { return n * (n + 1) / 2; }

int64_t NumDenseTiles(const RowBudgetShape& s) {
  return std::min<int64_t>(s.num_tiles, s.dense_last_blocks);
}

// The left side of K's inequality, in units of 1/1024 of a block: the sum over
// rows of (i + 1) * 1024 where dense, else
// max(1024 * forced_i, min((i + 1) * 1024, K)). With K raised to the forced
// blocks of a full row, rows of up to K / 1024 blocks are whole and the others
// take K, so the sum is closed.
int64_t SumOfRows(const RowBudgetShape& s, int64_t k_1024) {
  const int64_t num_sparse = s.num_tiles - NumDenseTiles(s);
  const int64_t forced = ForcedBlocks(s, s.num_tiles);
  const int64_t k = std::max(k_1024, 1024 * forced);
  const int64_t num_whole = std::min(num_sparse, k >> 10);
  return 1024 * (Triangle(s.num_tiles) - Triangle(num_sparse)) +
         1024 * Triangle(num_whole) + (num_sparse - num_whole) * k;
}

}  // namespace

RowBudget SolveRowBudget(const RowBudgetShape& shape, double density) {
  const double target =
      density * static_cast<double>(Triangle(shape.num_tiles)) * 1024.0;
  RowBudget result;
  const double floor = static_cast<double>(SumOfRows(shape, 0));
  result.feasible = floor <= target;
  if (floor >= target) return result;
  // SumOfRows(low) < target <= SumOfRows(high), as far as high can go.
  int64_t low = 0;
  int64_t high = shape.num_tiles * 1024;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (static_cast<double>(SumOfRows(shape, middle)) >= target) {
      high = middle;
    } else {
      low = middle;
    }
  }
  result.k_1024 = high;
  return result;
}

int64_t SumRowCounts(const RowBudgetShape& shape, int64_t k_1024) {
  int64_t sum = 0;
  for (int64_t i = 0; i < shape.num_tiles; ++i) {
    sum += IsDenseTile(shape, i) ? i + 1 : RowCount(shape, i, k_1024);
  }
  return sum;
}

double FloorDensity(const RowBudgetShape& shape) {
  return static_cast<double>(SumOfRows(shape, 0)) /
         (static_cast<double>(Triangle(shape.num_tiles)) * 1024.0);
}

}  // namespace seer
