#include "kernels/attention/cpu/panel_plan.h"

#include <algorithm>

namespace seer {
namespace {

void PlanPromptTile(const AttentionArgs& args, int32_t tile_index,
                    PanelPlan* plan) {
  const Tile& tile = args.batch.tiles[tile_index];
  for (int32_t head = 0; head < args.num_query_heads; ++head) {
    PanelWork work;
    work.tile = tile_index;
    work.head = head;
    work.num_rows = tile.num_rows;
    work.block_end = VisibleBlocks(tile);
    work.num_blocks = args.sets.bits == nullptr
                          ? work.block_end
                          : args.sets.counts[args.sets.Row(tile_index, head)];
    plan->panels.push_back(work);
  }
}

void PlanGeneratedTile(const AttentionArgs& args, int32_t tile_index,
                       PanelPlan* plan) {
  const Tile& tile = args.batch.tiles[tile_index];
  const int32_t group = args.num_query_heads / args.kv.num_kv_heads;
  const int32_t num_panel_rows = tile.num_rows * group;
  const int32_t visible = VisibleBlocks(tile);
  const int32_t num_parts = (visible + kPartBlocks - 1) / kPartBlocks;
  for (int32_t head = 0; head < args.kv.num_kv_heads; ++head) {
    for (int32_t row = 0; row < num_panel_rows; row += kPanelRows) {
      PanelWork work;
      work.tile = tile_index;
      work.head = head;
      work.first_row = row;
      work.num_rows = std::min(kPanelRows, num_panel_rows - row);
      if (num_parts > 1) {
        plan->merges.push_back({tile_index, head, row, work.num_rows, num_parts,
                                plan->num_partial_rows});
      }
      for (int32_t part = 0; part < num_parts; ++part) {
        work.block_begin = part * kPartBlocks;
        work.block_end = std::min(visible, work.block_begin + kPartBlocks);
        work.num_blocks = work.block_end - work.block_begin;
        if (num_parts > 1) {
          work.partial_row = plan->num_partial_rows;
          plan->num_partial_rows += work.num_rows;
        }
        plan->panels.push_back(work);
      }
    }
  }
}

int32_t QueryHeadsPerKvHead(const AttentionArgs& args) {
  return args.num_query_heads / args.kv.num_kv_heads;
}

bool IsPromptTile(const AttentionArgs& args, int32_t tile) {
  return tile < args.batch.num_prompt_tiles;
}

}  // namespace

PanelPlan PlanPanels(const AttentionArgs& args) {
  PanelPlan plan;
  plan.panels.reserve(int64_t{args.batch.num_tiles} * args.num_query_heads);
  for (int32_t t = 0; t < args.batch.num_tiles; ++t) {
    if (IsPromptTile(args, t)) {
      PlanPromptTile(args, t, &plan);
    } else {
      PlanGeneratedTile(args, t, &plan);
    }
  }
  std::stable_sort(plan.panels.begin(), plan.panels.end(),
                   [](const PanelWork& a, const PanelWork& b) {
                     return int64_t{a.num_blocks} * a.num_rows >
                            int64_t{b.num_blocks} * b.num_rows;
                   });
  return plan;
}

RowAddress AddressOf(const AttentionArgs& args, int32_t tile, int32_t head,
                     int32_t panel_row) {
  const int64_t row_begin = args.batch.tiles[tile].row_begin;
  if (IsPromptTile(args, tile)) return {row_begin + panel_row, head};
  const int32_t group = QueryHeadsPerKvHead(args);
  return {row_begin + panel_row / group,
          int64_t{head} * group + panel_row % group};
}

bool ListBlocks(const AttentionArgs& args, const PanelWork& work,
                std::vector<KvBlock>* blocks) {
  const Tile& tile = args.batch.tiles[work.tile];
  const int32_t* page_table = args.batch.sequences[tile.sequence].page_table;
  const bool prompt = IsPromptTile(args, work.tile);
  const int32_t kv_head =
      prompt ? work.head / QueryHeadsPerKvHead(args) : work.head;
  const char* pages = static_cast<const char*>(args.kv.pages);
  const int64_t size = SizeOf(args.dtype);
  const auto append = [&](int32_t block) {
    const int64_t page = page_table[block];
    blocks->push_back({pages + args.kv.KeyOffset(page, kv_head) * size,
                       pages + args.kv.ValueOffset(page, kv_head) * size});
  };

  blocks->clear();
  const int32_t visible = VisibleBlocks(tile);
  const bool all =
      !prompt || args.sets.bits == nullptr ||
      args.sets.counts[args.sets.Row(work.tile, work.head)] == visible;
  if (all) {
    for (int32_t b = work.block_begin; b < work.block_end; ++b) append(b);
    return work.block_end == visible;
  }
  const uint64_t* bits = args.sets.Bits(work.tile, work.head);
  int32_t last = -1;
  for (int32_t first = 0; first < visible; first += 64) {
    uint64_t word = bits[first / 64];
    if (visible - first < 64) word &= (uint64_t{1} << (visible - first)) - 1;
    for (; word != 0; word &= word - 1) {
      last = first + __builtin_ctzll(word);
      append(last);
    }
  }
  return last == tile.block;
}

}  // namespace seer
