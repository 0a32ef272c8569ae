// One call of block selection: its inputs, its outputs, and what every result
// must satisfy.
#ifndef SEER_TESTS_TESTING_KERNELS_CASES_SELECTION_CASE_H_
#define SEER_TESTS_TESTING_KERNELS_CASES_SELECTION_CASE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernels/block_selection/block_selection.h"

namespace seer {

// SelectBlocks of arguments in host memory, on any backend: kCuda works on a
// copy of everything, twice, the second time out of a captured graph.
absl::Status SelectOn(Backend backend, const BlockSelectionArgs& args,
                      DeviceStream stream = {});

// Blocks of each row, ascending; [tile * Hq + head].
using BlockLists = std::vector<std::vector<int32_t>>;

class SelectionCase {
 public:
  // Logits are 0 until they are written. Borrows the batch and what the rules
  // point to.
  SelectionCase(const RaggedBatch& batch, int32_t num_query_heads,
                int32_t max_visible, std::vector<SelectionRule> rules);

  SelectionCase(const SelectionCase&) = delete;
  SelectionCase& operator=(const SelectionCase&) = delete;

  // Gives the sets more words than their blocks need.
  void WidenSets(int32_t num_words);

  // Runs it. Expects counts, bits and num_selected to agree, and no bit at or
  // past the visible blocks.
  BlockLists Run(Backend backend, DeviceStream stream = {});

  const BlockSelectionArgs& args() const { return args_; }
  const SelectionRule& rule(int64_t tile) const {
    return rules_[args_.batch.tiles[tile].sequence];
  }
  // [max_visible]
  float* Row(int64_t tile, int64_t head) {
    return &logits[(tile * args_.num_query_heads + head) *
                   args_.logits_row_len];
  }

  std::vector<float> logits;

 private:
  std::vector<int32_t> List(int64_t tile, int64_t head) const;

  std::vector<SelectionRule> rules_;
  BlockSelectionArgs args_;
  std::vector<uint64_t> bits_;
  std::vector<int32_t> counts_;
  std::vector<int64_t> num_selected_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CASES_SELECTION_CASE_H_
