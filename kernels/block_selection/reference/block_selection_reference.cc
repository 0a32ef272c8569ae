#include "kernels/block_selection/reference/block_selection_reference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/block_selection/set_size.h"
#include "kernels/gate_score/gate_score.h"

namespace seer {
namespace {

// Whether a block of logit `a` is taken before one of logit `b`.
bool IsHigher(float a, float b) {
  if (std::isnan(b)) return !std::isnan(a);
  return a > b;
}

// The blocks above the threshold and the forced ones.
std::vector<bool> SelectByThreshold(const SelectionRule& rule, int64_t block,
                                    const float* logits) {
  std::vector<float> probs(block + 1);
  GateSoftmax(logits, static_cast<int32_t>(block + 1), probs.data());
  std::vector<bool> selected(block + 1);
  for (int64_t j = 0; j <= block; ++j) {
    selected[j] = IsForced(rule, block, j) || probs[j] > rule.threshold;
  }
  return selected;
}

// The first `count` blocks: forced ones, then by logit, then by index.
std::vector<bool> SelectByCount(const SelectionRule& rule, int64_t block,
                                const float* logits, int64_t count) {
  std::vector<int64_t> order(block + 1);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const bool a_is_forced = IsForced(rule, block, a);
    const bool b_is_forced = IsForced(rule, block, b);
    if (a_is_forced || b_is_forced) return a_is_forced && !b_is_forced;
    return IsHigher(logits[a], logits[b]);
  });
  std::vector<bool> selected(block + 1);
  for (int64_t i = 0; i < count; ++i) selected[order[i]] = true;
  return selected;
}

void SelectRow(const BlockSelectionArgs& args, int64_t tile, int64_t head) {
  const int64_t block = args.batch.tiles[tile].block;
  const SelectionRule& rule = args.rules[args.batch.tiles[tile].sequence];
  const BlockSets& sets = args.sets;
  const int64_t row = sets.Row(tile, head);
  const bool is_by_threshold = IsByThreshold(rule, block);
  if (!is_by_threshold) {
    sets.counts[row] = static_cast<int32_t>(SetSize(rule, block, head));
    if (sets.counts[row] == block + 1) return;
  }
  const float* const logits = args.logits + row * args.logits_row_len;
  const std::vector<bool> selected =
      is_by_threshold ? SelectByThreshold(rule, block, logits)
                      : SelectByCount(rule, block, logits, sets.counts[row]);
  sets.counts[row] =
      static_cast<int32_t>(std::count(selected.begin(), selected.end(), true));
  uint64_t* const bits = sets.Bits(tile, head);
  std::fill_n(bits, sets.num_words, 0);
  for (int64_t j = 0; j <= block; ++j) {
    if (selected[j]) bits[j / 64] |= uint64_t{1} << (j % 64);
  }
}

}  // namespace

void SelectBlocksReference(const BlockSelectionArgs& args) {
  for (int64_t tile = 0; tile < args.batch.num_prompt_tiles; ++tile) {
    for (int64_t head = 0; head < args.num_query_heads; ++head) {
      SelectRow(args, tile, head);
    }
  }
}

}  // namespace seer
