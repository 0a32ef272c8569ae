// Selection for one layer of one prompt: nine query heads on the CPU, 32 on a
// GPU, whose time is the device's. Checked before it is timed: on the CPU
// against the reference, on a GPU against the CPU.
//   block_selection_benchmark --benchmark_repetitions=9
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/thread/thread_pool.h"
#include "benchmark/benchmark.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/block_selection/row_budget.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_selection.h"
#include "tests/testing/kernels/cuda/test_stream.h"
#endif

namespace seer {
namespace {

// One prompt's selection, in host memory.
class PromptSelection {
 public:
  PromptSelection(int32_t num_tiles, int32_t num_heads,
                  SelectionRule::Kind kind)
      : ragged_({WholePrompt(num_tiles * kBlockSize)}, 1),
        num_rows_(int64_t{num_tiles} * num_heads),
        logits_(num_rows_ * num_tiles),
        counts_(num_rows_) {
    RowBudgetShape shape;
    shape.num_tiles = num_tiles;
    budgets_.assign(num_heads,
                    static_cast<int32_t>(SolveRowBudget(shape, 0.2).k_1024));
    rule_.kind = kind;
    rule_.threshold = 0.02f;
    rule_.row_budgets = budgets_.data();
    rule_.num_prompt_tiles = num_tiles;
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal;
    for (int64_t row = 0; row < num_rows_; ++row) {
      for (int64_t j = 0; j <= row / num_heads; ++j) {
        logits_[row * num_tiles + j] = normal(random);
      }
    }
    args_.batch = ragged_.batch();
    args_.rules = &rule_;
    args_.num_query_heads = num_heads;
    args_.logits = logits_.data();
    args_.logits_row_len = num_tiles;
    args_.sets.num_words = (num_tiles + 63) / 64;
    args_.sets.num_query_heads = num_heads;
    bits_.resize(num_rows_ * args_.sets.num_words);
    args_.sets.bits = bits_.data();
    args_.sets.counts = counts_.data();
    args_.num_selected = &num_selected_;
  }
  PromptSelection(const PromptSelection&) = delete;
  PromptSelection& operator=(const PromptSelection&) = delete;

  const BlockSelectionArgs& args() const { return args_; }
  int64_t num_rows() const { return num_rows_; }

  // Rows whose sets differ. Full rows have no bits.
  int64_t NumDifferentRows(const std::vector<int32_t>& counts,
                           const std::vector<uint64_t>& bits) const {
    const int64_t num_words = args_.sets.num_words;
    int64_t num_different = 0;
    for (int64_t row = 0; row < num_rows_; ++row) {
      const bool is_full = counts_[row] == row / args_.num_query_heads + 1;
      num_different +=
          counts_[row] != counts[row] ||
          (!is_full && std::memcmp(&bits_[row * num_words],
                                   &bits[row * num_words], num_words * 8) != 0);
    }
    return num_different;
  }

  std::vector<int32_t> counts() const { return counts_; }
  std::vector<uint64_t> bits() const { return bits_; }

 private:
  const RaggedCase ragged_;
  const int64_t num_rows_;
  std::vector<int32_t> budgets_;
  SelectionRule rule_;
  std::vector<float> logits_;
  std::vector<uint64_t> bits_;
  std::vector<int32_t> counts_;
  int64_t num_selected_ = 0;
  BlockSelectionArgs args_;
};

void CountRows(const PromptSelection& prompt, benchmark::State& state) {
  state.counters["rows/s"] =
      benchmark::Counter(static_cast<double>(prompt.num_rows()),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void OnCpu(benchmark::State& state, Backend backend, SelectionRule::Kind kind) {
  constexpr int32_t kNumHeads = 9;
  ThreadPool threads(static_cast<int>(state.range(1)));
  const PromptSelection prompt(
      static_cast<int32_t>(state.range(0)) / kBlockSize, kNumHeads, kind);
  const BlockSelectionArgs& args = prompt.args();
  const bool reference_ran =
      SelectBlocks(Backend::kReference, args, DeviceStream()).ok();
  const std::vector<int32_t> counts = prompt.counts();
  const std::vector<uint64_t> bits = prompt.bits();
  if (!reference_ran || !SelectBlocks(backend, args, DeviceStream()).ok() ||
      prompt.NumDifferentRows(counts, bits) != 0) {
    state.SkipWithError("differs from the reference");
    return;
  }
  for (auto _ : state) {
    if (!SelectBlocks(backend, args, DeviceStream{&threads}).ok()) {
      state.SkipWithError("refused");
    }
  }
  CountRows(prompt, state);
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

BENCHMARK_CAPTURE(OnCpu, row_budget_80, Backend::kCpu,
                  SelectionRule::Kind::kRowBudget)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(OnCpu, threshold, Backend::kCpu,
                  SelectionRule::Kind::kThreshold)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(OnCpu, reference_row_budget_80, Backend::kReference,
                  SelectionRule::Kind::kRowBudget)
    ->ArgNames({"tokens", "threads"})
    ->Args({8192, 1})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

#ifdef SEER_CUDA
// One iteration is one call of this many in a row.
constexpr int kCallsInARow = 20;

void OnGpu(benchmark::State& state, SelectionRule::Kind kind) {
  const std::string missing = MissingCudaDevice();
  if (!missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  constexpr int32_t kNumHeads = 32;
  ThreadPool threads(static_cast<int>(std::thread::hardware_concurrency()));
  const PromptSelection prompt(
      static_cast<int32_t>(state.range(0)) / kBlockSize, kNumHeads, kind);
  const BlockSelectionArgs& args = prompt.args();
  const bool cpu_ran =
      SelectBlocks(Backend::kCpu, args, DeviceStream{&threads}).ok();
  const std::vector<int32_t> counts = prompt.counts();
  const std::vector<uint64_t> bits = prompt.bits();
  const DeviceSelection device(args);
  TestStream stream;
  const auto select = [&](DeviceStream on) {
    return SelectBlocks(Backend::kCuda, device.args(), on);
  };
  const bool gpu_ran = stream.Run(/*in_graph=*/false, select).ok();
  device.CopyOutputsTo(args);
  const int64_t num_different = prompt.NumDifferentRows(counts, bits);
  // Probabilities round differently, so near-ties with a threshold may differ.
  const int64_t may_differ =
      kind == SelectionRule::Kind::kThreshold ? prompt.num_rows() / 100 : 0;
  if (!cpu_ran || !gpu_ran || num_different > may_differ) {
    state.SkipWithError("differs from the CPU");
    return;
  }
  for (auto _ : state) {
    const absl::StatusOr<double> seconds = stream.Time(kCallsInARow, select);
    if (!seconds.ok()) {
      state.SkipWithError("refused");
      break;
    }
    state.SetIterationTime(*seconds);
  }
  state.counters["different_rows"] = static_cast<double>(num_different);
  CountRows(prompt, state);
}

void GpuSizes(benchmark::internal::Benchmark* b) {
  b->ArgName("tokens")
      ->Arg(8192)
      ->Arg(32768)
      ->Arg(131072)
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(20)
      ->UseManualTime();
}

BENCHMARK_CAPTURE(OnGpu, row_budget_80, SelectionRule::Kind::kRowBudget)
    ->Apply(GpuSizes);
BENCHMARK_CAPTURE(OnGpu, threshold, SelectionRule::Kind::kThreshold)
    ->Apply(GpuSizes);
#endif  // SEER_CUDA

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
