#include "kernels/block_selection/cpu/block_selection_cpu.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/block_selection/set_size.h"
#include "kernels/gate_score/gate_score.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_selection/cpu/block_selection_cpu.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace seer {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A key orders as its logit does: NaN lowest, -0 equal to 0, forced highest.
constexpr int32_t kLowestKey = std::numeric_limits<int32_t>::min();
constexpr int32_t kForcedKey = std::numeric_limits<int32_t>::max();
constexpr int64_t kKeyPadding = 16;  // keys are padded with kLowestKey

using IntTag = hn::CappedTag<int32_t, kKeyPadding>;

// keys[0, num_keys) of the logits; num_keys a multiple of the lanes.
HWY_INLINE void FillKeys(const float* logits, int64_t num_keys, int32_t* keys) {
  const IntTag d;
  const hn::Rebind<float, IntTag> df;
  const auto sign_bit_off = hn::Set(d, kForcedKey);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < num_keys; j += lanes) {
    const auto logit = hn::LoadU(df, logits + j);
    const auto bits = hn::BitCast(d, hn::Add(logit, hn::Zero(df)));
    const auto key =
        hn::Xor(bits, hn::And(hn::ShiftRight<31>(bits), sign_bit_off));
    const auto is_nan = hn::RebindMask(d, hn::IsNaN(logit));
    hn::StoreU(hn::IfThenElse(is_nan, hn::Set(d, kLowestKey), key), d,
               keys + j);
  }
}

// Keys > floor among keys[0, num_keys), a multiple of kKeyPadding.
HWY_INLINE int64_t CountAbove(const int32_t* keys, int64_t num_keys,
                              int32_t floor) {
  const IntTag d;
  const auto floors = hn::Set(d, floor);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t count = 0;
  for (int64_t j = 0; j < num_keys; j += lanes) {
    count += static_cast<int64_t>(
        hn::CountTrue(d, hn::Gt(hn::LoadU(d, keys + j), floors)));
  }
  return count;
}

// Which keys to take: all > floor, and the first num_ties equal to it.
struct Cut {
  int32_t floor = 0;
  int64_t num_ties = 0;
};

// The cut that takes `count` keys, of which num_forced < count are kForcedKey.
HWY_INLINE Cut FindCut(const int32_t* keys, int64_t num_keys, int64_t count,
                       int64_t num_forced) {
  // At least `count` keys are > low, fewer are > high.
  int64_t low = int64_t{kLowestKey} - 1;
  int64_t high = int64_t{kForcedKey} - 1;
  int64_t num_high = num_forced;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    const int64_t num_middle =
        CountAbove(keys, num_keys, static_cast<int32_t>(middle));
    if (num_middle == count) return {static_cast<int32_t>(middle), 0};
    if (num_middle > count) {
      low = middle;
    } else {
      high = middle;
      num_high = num_middle;
    }
  }
  return {static_cast<int32_t>(high), count - num_high};
}

// bits[num_words] of the keys that the cut takes, out of num_visible.
HWY_INLINE void WriteBits(const int32_t* keys, int64_t num_visible, Cut cut,
                          uint64_t* bits, int64_t num_words) {
  const IntTag d;
  const auto floors = hn::Set(d, cut.floor);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  std::fill_n(bits, num_words, 0);
  for (int64_t j = 0; j < num_visible; j += lanes) {
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, hn::Gt(hn::LoadU(d, keys + j), floors), bytes);
    const uint64_t taken = bytes[0] | uint64_t{bytes[1]} << 8;
    bits[j / 64] |= taken << (j % 64);
  }
  for (int64_t j = 0; cut.num_ties > 0; ++j) {
    if (keys[j] != cut.floor) continue;
    bits[j / 64] |= uint64_t{1} << (j % 64);
    --cut.num_ties;
  }
}

// The `count` < num_visible blocks of tile `block`: forced first, then by
// logit, then by index.
void SelectByCount(const SelectionRule& rule, int64_t block,
                   const float* logits, int64_t count,
                   std::vector<int32_t>& scratch, uint64_t* bits,
                   int64_t num_words) {
  const int64_t num_visible = block + 1;
  if (count == 0) {
    std::fill_n(bits, num_words, 0);
    return;
  }
  const int64_t num_whole = num_visible - num_visible % kKeyPadding;
  scratch.resize(num_whole + kKeyPadding);
  int32_t* const keys = scratch.data();
  FillKeys(logits, num_whole, keys);
  int64_t num_keys = num_whole;
  if (num_whole < num_visible) {
    float last[kKeyPadding];
    std::fill_n(last, kKeyPadding, std::numeric_limits<float>::quiet_NaN());
    std::copy(logits + num_whole, logits + num_visible, last);
    FillKeys(last, kKeyPadding, keys + num_whole);
    num_keys += kKeyPadding;
  }
  const RowBudgetShape shape = BudgetShape(rule);
  const int64_t num_forced = ForcedBlocks(shape, block);
  std::fill_n(keys, std::min<int64_t>(num_visible, rule.sink_blocks),
              kForcedKey);
  if (rule.keep_diagonal) keys[block] = kForcedKey;
  const Cut cut = num_forced == count
                      ? Cut{kForcedKey - 1, 0}
                      : FindCut(keys, num_keys, count, num_forced);
  WriteBits(keys, num_visible, cut, bits, num_words);
}

}  // namespace HWY_NAMESPACE
}  // namespace seer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seer {

HWY_EXPORT(SelectByCount);

namespace {

int32_t SelectByThreshold(const SelectionRule& rule, int64_t block,
                          const float* logits, float* probs, uint64_t* bits,
                          int64_t num_words) {
  GateSoftmax(logits, static_cast<int32_t>(block + 1), probs);
  std::fill_n(bits, num_words, 0);
  int32_t count = 0;
  for (int64_t j = 0; j <= block; ++j) {
    const uint64_t is_taken =
        probs[j] > rule.threshold || IsForced(rule, block, j) ? 1 : 0;
    bits[j / 64] |= is_taken << (j % 64);
    count += static_cast<int32_t>(is_taken);
  }
  return count;
}

void SelectTile(const BlockSelectionArgs& args, int64_t tile) {
  const int64_t block = args.batch.tiles[tile].block;
  const SelectionRule& rule = args.rules[args.batch.tiles[tile].sequence];
  const BlockSets& sets = args.sets;
  const bool is_by_threshold = IsByThreshold(rule, block);
  std::vector<int32_t> keys;
  std::vector<float> probs;
  for (int64_t head = 0; head < args.num_query_heads; ++head) {
    const int64_t row = sets.Row(tile, head);
    if (!is_by_threshold) {
      sets.counts[row] = static_cast<int32_t>(SetSize(rule, block, head));
      if (sets.counts[row] == block + 1) continue;
    }
    const float* const logits = args.logits + row * args.logits_row_len;
    if (is_by_threshold) {
      probs.resize(block + 1);
      sets.counts[row] =
          SelectByThreshold(rule, block, logits, probs.data(),
                            sets.Bits(tile, head), sets.num_words);
      continue;
    }
    HWY_DYNAMIC_DISPATCH(SelectByCount)
    (rule, block, logits, sets.counts[row], keys, sets.Bits(tile, head),
     sets.num_words);
  }
}

}  // namespace

void SelectBlocksCpu(const BlockSelectionArgs& args, Executor& executor) {
  executor.ParallelFor(args.batch.num_prompt_tiles,
                       [&](int64_t tile) { SelectTile(args, tile); });
}

}  // namespace seer
#endif  // HWY_ONCE
