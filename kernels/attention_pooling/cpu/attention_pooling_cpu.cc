#include "kernels/attention_pooling/cpu/attention_pooling_cpu.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/thread/executor.h"
#include "kernels/attention/cpu/panel.h"
#include "kernels/attention/cpu/panel_kernel.h"
#include "kernels/attention/cpu/panel_plan.h"
#include "kernels/attention_pooling/cpu/pool_rows.h"

namespace seer {
namespace {

// One thread's memory, and (tile, query head)s run in it.
class PoolingWorker {
 public:
  PoolingWorker(const AttentionPoolingArgs& args,
                InstructionSet instruction_set)
      : args_(args),
        kernel_(PanelKernelOf(instruction_set, args.attention.kv.head_dim)),
        score_unit_(ScoreUnitOf(instruction_set)),
        scratch_(args.attention.kv.head_dim) {
    panel_.dtype = args.attention.dtype;
    panel_.out_dtype = args.attention.dtype;
    panel_.head_dim = args.attention.kv.head_dim;
    panel_.scale = args.attention.scale;
  }

  void Run(const PanelWork& work) {
    const AttentionArgs& attention = args_.attention;
    const Tile& tile = attention.batch.tiles[work.tile];
    ListBlocks(attention, work, &blocks_);
    block_scores_.resize(std::max(block_scores_.size(), blocks_.size()));
    panel_.blocks = blocks_;
    panel_.block_scores = block_scores_.data();
    panel_.num_rows = tile.num_rows;
    for (int32_t i = 0; i < tile.num_rows; ++i) {
      const int64_t row_head =
          int64_t{tile.row_begin + i} * attention.num_query_heads + work.head;
      const int64_t at =
          row_head * attention.kv.head_dim * SizeOf(attention.dtype);
      panel_.queries[i] = static_cast<const char*>(attention.queries) + at;
      panel_.last_block_keys[i] = i + 1;
      panel_.outs[i] = attention.out == nullptr
                           ? nullptr
                           : static_cast<char*>(attention.out) + at;
      panel_.log_sum_exps[i] = attention.log_sum_exp == nullptr
                                   ? nullptr
                                   : attention.log_sum_exp + row_head;
    }
    kernel_(panel_, scratch_);

    const int64_t target =
        (int64_t{work.tile} * attention.num_query_heads + work.head) *
        args_.row_len;
    PooledRow row;
    row.blocks = absl::MakeConstSpan(block_scores_.data(), blocks_.size());
    row.sums = scratch_.sums();
    row.score_unit = score_unit_;
    row.num_rows = tile.num_rows;
    if (args_.max_target) row.max_target = args_.max_target + target;
    if (args_.mass_target) row.mass_target = args_.mass_target + target;
    PoolRows(row);
  }

 private:
  const AttentionPoolingArgs& args_;
  const PanelKernel kernel_;
  const float score_unit_;
  PanelScratch scratch_;
  std::vector<KvBlock> blocks_;
  std::vector<BlockScores> block_scores_;
  Panel panel_;
};

}  // namespace

void PoolAttentionOnCpu(const AttentionPoolingArgs& args,
                        InstructionSet instruction_set, DeviceStream stream) {
  Executor& executor = ExecutorOf(stream);
  // A panel a (tile, query head), the longest first.
  const PanelPlan plan = PlanPanels(args.attention);
  const int64_t num_panels = plan.panels.size();
  std::atomic<int64_t> next{0};
  const int64_t num_workers =
      std::min<int64_t>(num_panels, executor.num_threads());
  executor.ParallelFor(num_workers, [&](int64_t) {
    PoolingWorker worker(args, instruction_set);
    for (int64_t i = next.fetch_add(1, std::memory_order_relaxed);
         i < num_panels; i = next.fetch_add(1, std::memory_order_relaxed)) {
      worker.Run(plan.panels[i]);
    }
  });
}

}  // namespace seer
