#include "tests/testing/kernels/cases/selection_case.h"

#include <algorithm>
#include <utility>

#include "gtest/gtest.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_selection.h"
#endif

namespace seer {
namespace {

constexpr uint64_t kUnwritten = 0xabcdabcdabcdabcd;

}  // namespace

absl::Status SelectOn(Backend backend, const BlockSelectionArgs& args,
                      DeviceStream stream) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return SelectOnDevice(args);
#endif
  return SelectBlocks(backend, args, stream);
}

SelectionCase::SelectionCase(const RaggedBatch& batch, int32_t num_query_heads,
                             int32_t max_visible,
                             std::vector<SelectionRule> rules)
    : rules_(std::move(rules)) {
  args_.batch = batch;
  args_.rules = rules_.data();
  args_.num_query_heads = num_query_heads;
  args_.logits_row_len = max_visible;
  const int64_t num_rows = int64_t{batch.num_prompt_tiles} * num_query_heads;
  logits.assign(num_rows * max_visible, 0.0f);
  args_.logits = logits.data();
  args_.sets.num_query_heads = num_query_heads;
  counts_.resize(num_rows);
  args_.sets.counts = counts_.data();
  WidenSets((max_visible + 63) / 64);
  num_selected_.resize(batch.num_sequences);
  args_.num_selected = num_selected_.data();
}

void SelectionCase::WidenSets(int32_t num_words) {
  args_.sets.num_words = num_words;
  bits_.resize(counts_.size() * num_words);
  args_.sets.bits = bits_.data();
}

BlockLists SelectionCase::Run(Backend backend, DeviceStream stream) {
  std::fill(bits_.begin(), bits_.end(), kUnwritten);
  std::fill(counts_.begin(), counts_.end(), -1);
  std::fill(num_selected_.begin(), num_selected_.end(), 0);
  const absl::Status status = SelectOn(backend, args_, stream);
  EXPECT_TRUE(status.ok()) << status;
  BlockLists lists;
  std::vector<int64_t> sums(num_selected_.size());
  for (int64_t tile = 0; tile < args_.batch.num_prompt_tiles; ++tile) {
    for (int64_t head = 0; head < args_.num_query_heads; ++head) {
      lists.push_back(List(tile, head));
      sums[args_.batch.tiles[tile].sequence] +=
          static_cast<int64_t>(lists.back().size());
    }
  }
  EXPECT_EQ(num_selected_, sums);
  return lists;
}

std::vector<int32_t> SelectionCase::List(int64_t tile, int64_t head) const {
  const int32_t num_visible = VisibleBlocks(args_.batch.tiles[tile]);
  const int32_t count = counts_[args_.sets.Row(tile, head)];
  const uint64_t* bits = args_.sets.Bits(tile, head);
  std::vector<int32_t> list;
  for (int32_t j = 0; j < args_.sets.num_words * 64; ++j) {
    const bool is_set = (bits[j / 64] >> (j % 64) & 1) != 0;
    if (count == num_visible ? j < num_visible : is_set) list.push_back(j);
  }
  EXPECT_EQ(static_cast<int32_t>(list.size()), count)
      << "tile " << tile << ", head " << head;
  if (!list.empty()) {
    EXPECT_LT(list.back(), num_visible)
        << "a bit past the visible blocks of tile " << tile << ", head "
        << head;
  }
  return list;
}

}  // namespace seer
