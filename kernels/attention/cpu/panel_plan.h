// Cuts a batch into panels: what runs on one thread without talking to others.
#ifndef SEER_KERNELS_ATTENTION_CPU_PANEL_PLAN_H_
#define SEER_KERNELS_ATTENTION_CPU_PANEL_PLAN_H_

#include <cstdint>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/cpu/panel.h"

namespace seer {

// Generated rows read all their blocks; so that few rows keep many threads
// busy, each panel of them reads this many at most and the parts are merged.
// A constant, so that a row's result does not depend on threads or neighbours.
constexpr int kPartBlocks = 16;

// Rows of one tile for one panel.
//
// A prompt tile gives a panel per query head: heads have their own sets. Its
// panel rows are the tile's rows. A generated tile gives panels per KV head:
// panel row i is the tile's row (first_row + i) / group for query head
// head * group + (first_row + i) % group, so a group shares what it reads.
struct PanelWork {
  int32_t tile = 0;
  int32_t head = 0;  // query head (prompt tile) or KV head (generated tile)
  int32_t first_row = 0;
  int32_t num_rows = 0;  // 1..kPanelRows
  int32_t block_begin = 0;
  int32_t block_end = 0;   // visible blocks [begin, end), or the set's of them
  int32_t num_blocks = 0;  // how many of them are read
  int64_t partial_row = -1;  // first row of PanelPlan's partials; -1: final
};

// Rows whose result is the merge of partial results: part p of row i is
// partial row partial_row + p * num_rows + i.
struct MergeWork {
  int32_t tile = 0;
  int32_t head = 0;  // KV head
  int32_t first_row = 0;
  int32_t num_rows = 0;
  int32_t num_parts = 0;
  int64_t partial_row = 0;
};

struct PanelPlan {
  std::vector<PanelWork> panels;  // most blocks first
  std::vector<MergeWork> merges;
  int64_t num_partial_rows = 0;
};

PanelPlan PlanPanels(const AttentionArgs& args);

// Where row i of the panel comes from and goes to, as (packed row, query head).
struct RowAddress {
  int64_t row = 0;
  int64_t query_head = 0;
};
RowAddress AddressOf(const AttentionArgs& args, int32_t tile, int32_t head,
                     int32_t panel_row);

// The blocks of the panel, ascending; their number is work.num_blocks unless
// counts and bits disagree. `blocks` is cleared first. Returns whether the
// last one is the tile's own, the only one that is masked.
bool ListBlocks(const AttentionArgs& args, const PanelWork& work,
                std::vector<KvBlock>* blocks);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_PANEL_PLAN_H_
