// Selection for one layer of one prompt, nine query heads. Checked against the
// reference's counts and bits before it is timed.
//   block_selection_benchmark --benchmark_repetitions=9
#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "benchmark/benchmark.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/block_selection/row_budget.h"
#include "tests/testing/kernels/ragged_case.h"

namespace seer {
namespace {

constexpr int32_t kNumHeads = 9;

void Prompt(benchmark::State& state, Backend backend,
            SelectionRule::Kind kind) {
  const int32_t num_tiles = static_cast<int32_t>(state.range(0)) / kBlockSize;
  ThreadPool threads(static_cast<int>(state.range(1)));
  const RaggedCase ragged({WholePrompt(num_tiles * kBlockSize)}, 1);
  RowBudgetShape shape;
  shape.num_tiles = num_tiles;
  const std::vector<int32_t> budgets(
      kNumHeads, static_cast<int32_t>(SolveRowBudget(shape, 0.2).k_1024));
  SelectionRule rule;
  rule.kind = kind;
  rule.threshold = 0.02f;
  rule.row_budgets = budgets.data();
  rule.num_prompt_tiles = num_tiles;

  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  const int64_t num_rows = int64_t{num_tiles} * kNumHeads;
  std::vector<float> logits(num_rows * num_tiles);
  for (float& x : logits) x = normal(random);
  std::vector<int32_t> counts(num_rows);
  BlockSelectionArgs args;
  args.batch = ragged.batch();
  args.rules = &rule;
  args.num_query_heads = kNumHeads;
  args.logits = logits.data();
  args.logits_row_len = num_tiles;
  args.sets.num_words = (num_tiles + 63) / 64;
  std::vector<uint64_t> bits(num_rows * args.sets.num_words);
  args.sets.bits = bits.data();
  args.sets.counts = counts.data();
  args.sets.num_query_heads = kNumHeads;
  const bool reference_ran =
      SelectBlocks(Backend::kReference, args, DeviceStream()).ok();
  const std::vector<int32_t> reference_counts = counts;
  const std::vector<uint64_t> reference_bits = bits;
  if (!reference_ran || !SelectBlocks(backend, args, DeviceStream()).ok() ||
      counts != reference_counts || bits != reference_bits) {
    state.SkipWithError("differs from the reference");
    return;
  }
  for (auto _ : state) {
    if (!SelectBlocks(backend, args, DeviceStream{&threads}).ok()) {
      state.SkipWithError("refused");
    }
  }
  state.counters["rows/s"] =
      benchmark::Counter(static_cast<double>(num_rows),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void Sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "threads"})
      ->Args({2048, 1})
      ->Args({8192, 1})
      ->Args({8192, 2})
      ->Args({131072, 2})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

BENCHMARK_CAPTURE(Prompt, cpu_row_budget_80, Backend::kCpu,
                  SelectionRule::Kind::kRowBudget)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Prompt, cpu_threshold, Backend::kCpu,
                  SelectionRule::Kind::kThreshold)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Prompt, reference_row_budget_80, Backend::kReference,
                  SelectionRule::Kind::kRowBudget)
    ->ArgNames({"tokens", "threads"})
    ->Args({8192, 1})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
