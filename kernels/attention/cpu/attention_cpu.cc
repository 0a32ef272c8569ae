#include "kernels/attention/cpu/attention_cpu.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <vector>

#include "base/thread/executor.h"
#include "kernels/attention/cpu/merge_parts.h"
#include "kernels/attention/cpu/panel.h"
#include "kernels/attention/cpu/panel_kernel.h"
#include "kernels/attention/cpu/panel_plan.h"

namespace seer {
namespace {

// Partial results, unless the plan has none: normalized, with their log-sums.
struct Partials {
  explicit Partials(int64_t num_rows, int32_t head_dim)
      : outs(num_rows * head_dim), log_sum_exps(num_rows) {}

  std::vector<float> outs;          // [num_partial_rows, head_dim]
  std::vector<float> log_sum_exps;  // [num_partial_rows]
};

char* OutRow(const AttentionArgs& args, const RowAddress& at) {
  const int64_t offset =
      (at.row * args.num_query_heads + at.query_head) * args.kv.head_dim;
  return static_cast<char*>(args.out) + offset * SizeOf(args.dtype);
}

const char* QueryRow(const AttentionArgs& args, const RowAddress& at) {
  const int64_t offset =
      (at.row * args.num_query_heads + at.query_head) * args.kv.head_dim;
  return static_cast<const char*>(args.queries) + offset * SizeOf(args.dtype);
}

float* LogSumExp(const AttentionArgs& args, const RowAddress& at) {
  return args.log_sum_exp == nullptr
             ? nullptr
             : args.log_sum_exp + at.row * args.num_query_heads + at.query_head;
}

// Result of rows that read nothing.
void WriteEmpty(const AttentionArgs& args, const PanelWork& work) {
  for (int32_t i = 0; i < work.num_rows; ++i) {
    const RowAddress at =
        AddressOf(args, work.tile, work.head, work.first_row + i);
    std::memset(OutRow(args, at), 0,
                int64_t{args.kv.head_dim} * SizeOf(args.dtype));
    if (float* lse = LogSumExp(args, at)) {
      *lse = -std::numeric_limits<float>::infinity();
    }
  }
}

// One thread's memory, and panels run in it.
class PanelWorker {
 public:
  PanelWorker(const AttentionArgs& args, PanelKernel kernel, Partials* partials)
      : args_(args),
        kernel_(kernel),
        partials_(partials),
        scratch_(args.kv.head_dim) {
    panel_.dtype = args.dtype;
    panel_.head_dim = args.kv.head_dim;
    panel_.scale = args.scale;
  }

  void Run(const PanelWork& work) {
    const bool masked = ListBlocks(args_, work, &blocks_);
    if (blocks_.empty()) return WriteEmpty(args_, work);
    const Tile& tile = args_.batch.tiles[work.tile];
    const bool partial = work.partial_row >= 0;
    panel_.blocks = blocks_;
    panel_.num_rows = work.num_rows;
    panel_.out_dtype = partial ? DType::kFloat32 : args_.dtype;
    for (int32_t i = 0; i < work.num_rows; ++i) {
      const RowAddress at =
          AddressOf(args_, work.tile, work.head, work.first_row + i);
      const int64_t row_in_tile = at.row - tile.row_begin;
      panel_.queries[i] = QueryRow(args_, at);
      panel_.last_block_keys[i] =
          masked ? static_cast<int32_t>(tile.offset + row_in_tile + 1)
                 : kBlockSize;
      if (partial) {
        const int64_t row = work.partial_row + i;
        panel_.outs[i] = &partials_->outs[row * args_.kv.head_dim];
        panel_.log_sum_exps[i] = &partials_->log_sum_exps[row];
      } else {
        panel_.outs[i] = OutRow(args_, at);
        panel_.log_sum_exps[i] = LogSumExp(args_, at);
      }
    }
    kernel_(panel_, scratch_);
  }

 private:
  const AttentionArgs& args_;
  const PanelKernel kernel_;
  Partials* const partials_;
  PanelScratch scratch_;
  std::vector<KvBlock> blocks_;
  Panel panel_;
};

void Merge(const AttentionArgs& args, const MergeWork& work,
           const Partials& partials) {
  for (int32_t i = 0; i < work.num_rows; ++i) {
    const RowAddress at =
        AddressOf(args, work.tile, work.head, work.first_row + i);
    const int64_t row = work.partial_row + i;
    PartialRows parts;
    parts.outs = &partials.outs[row * args.kv.head_dim];
    parts.log_sum_exps = &partials.log_sum_exps[row];
    parts.num_parts = work.num_parts;
    parts.row_stride = work.num_rows;
    parts.head_dim = args.kv.head_dim;
    MergeParts(parts, args.dtype, OutRow(args, at), LogSumExp(args, at));
  }
}

}  // namespace

void AttendOnCpu(const AttentionArgs& args, InstructionSet instruction_set,
                 DeviceStream stream) {
  Executor& executor = ExecutorOf(stream);
  const PanelPlan plan = PlanPanels(args);
  const PanelKernel kernel = PanelKernelOf(instruction_set, args.kv.head_dim);
  Partials partials(plan.num_partial_rows, args.kv.head_dim);

  // Workers take panels, the longest first, until none is left: they end
  // within one short panel of each other.
  const int64_t num_panels = plan.panels.size();
  std::atomic<int64_t> next{0};
  const int64_t num_workers =
      std::min<int64_t>(num_panels, executor.num_threads());
  executor.ParallelFor(num_workers, [&](int64_t) {
    PanelWorker worker(args, kernel, &partials);
    for (int64_t i = next.fetch_add(1, std::memory_order_relaxed);
         i < num_panels; i = next.fetch_add(1, std::memory_order_relaxed)) {
      worker.Run(plan.panels[i]);
    }
  });
  executor.ParallelFor(plan.merges.size(), [&](int64_t i) {
    Merge(args, plan.merges[i], partials);
  });
}

}  // namespace seer
