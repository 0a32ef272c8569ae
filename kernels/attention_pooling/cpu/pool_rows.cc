#include "kernels/attention_pooling/cpu/pool_rows.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_pooling/cpu/pool_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/attention/cpu/float_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {

// Of each row, its last reference and what a weight relative to that is to be
// multiplied by; 0 past the rows.
struct RowScales {
  HWY_ALIGN float references[kPanelRows];
  HWY_ALIGN float factors[kPanelRows];
};

// Of one block: the largest probability of any row, and the sum of all rows'.
struct BlockTargets {
  float max;
  float mass;
};

HWY_INLINE BlockTargets PoolBlock(const BlockScores& block,
                                  const RowScales& rows, float score_unit) {
  const FloatTag d;
  const Vector unit = hn::Set(d, score_unit);
  Vector max = hn::Zero(d);
  Vector mass = hn::Zero(d);
  for (int r = 0; r < kPanelRows; r += kLanes) {
    const Vector factor = hn::Load(d, rows.factors + r);
    const auto present = hn::Gt(factor, hn::Zero(d));
    // A difference of close numbers, so exact: large scores lose nothing here.
    const Vector shift = hn::Sub(hn::LoadU(d, &block.references[r]),
                                 hn::Load(d, rows.references + r));
    const Vector row_max =
        Exp(hn::Mul(hn::Add(hn::LoadU(d, &block.maxima[r]), shift), unit));
    const Vector row_mass =
        hn::Mul(hn::LoadU(d, &block.sums[r]), Exp(hn::Mul(shift, unit)));
    max = hn::Max(max, hn::IfThenElseZero(present, hn::Mul(row_max, factor)));
    mass =
        hn::Add(mass, hn::IfThenElseZero(present, hn::Mul(row_mass, factor)));
  }
  return {hn::GetLane(hn::MaxOfLanes(d, max)),
          hn::GetLane(hn::SumOfLanes(d, mass))};
}

void PoolBlocks(const PooledRow& row) {
  RowScales rows;
  for (int r = 0; r < kPanelRows; ++r) {
    rows.references[r] = row.blocks.back().references[r];
    rows.factors[r] = r < row.num_rows ? 1.0f / row.sums[r] : 0.0f;
  }
  double sum = 0.0;
  for (size_t j = 0; j < row.blocks.size(); ++j) {
    const BlockTargets targets = PoolBlock(row.blocks[j], rows, row.score_unit);
    if (row.mass_target != nullptr) {
      row.mass_target[j] = targets.mass / static_cast<float>(row.num_rows);
    }
    if (row.max_target != nullptr) {
      row.max_target[j] = targets.max;
      sum += targets.max;
    }
  }
  if (row.max_target == nullptr) return;
  for (size_t j = 0; j < row.blocks.size(); ++j) {
    row.max_target[j] = static_cast<float>(row.max_target[j] / sum);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seer {

HWY_EXPORT(PoolBlocks);

void PoolRows(const PooledRow& row) { HWY_DYNAMIC_DISPATCH(PoolBlocks)(row); }

}  // namespace seer
#endif  // HWY_ONCE
