// The gate of one layer over one prompt: SmolLM2-135M's heads on the CPU, Llama
// 8B's on a GPU, whose time is the device's. Before it is timed, a shorter
// prompt is checked against the error budget.
//   gate_score_benchmark --benchmark_repetitions=9
#include <numeric>
#include <string>
#include <vector>

#include "base/thread/thread_pool.h"
#include "benchmark/benchmark.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/oracles/gate_oracle.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_gate_score.h"
#include "tests/testing/kernels/cuda/test_stream.h"
#endif

namespace seer {
namespace {

enum class Gate { kMeanPool, kSingle, kDouble };

GateWeights MakeGate(Gate gate, const HeadShape& shape) {
  PoolSet avg, all;
  avg.avg = all.max = all.min = all.avg = true;
  switch (gate) {
    case Gate::kMeanPool:
      return MeanPoolGate();
    case Gate::kSingle:
      return RandomGate(shape, DType::kBFloat16, avg, all, false, 1);
    case Gate::kDouble:
      break;
  }
  return RandomGate(shape, DType::kBFloat16, all, all, true, 1);
}

// Whether 1000 tokens are scored within the error budget.
bool IsRight(Backend backend, const HeadShape& shape, const GateWeights& gate) {
  const SequenceTokens tokens =
      RandomTokens(shape, 1000, 1000, DType::kBFloat16, 2);
  PagedSequences sequences(shape, DType::kBFloat16, {tokens}, RopeConfig(), 1);
  const PreparedStep step =
      sequences.Prepare(Backend::kCpu, sequences.WholePrompts());
  const ExactLogits exact =
      ScoreExactly(shape, tokens, gate, ToExactRope(sequences.rope()));
  const std::vector<float> scores[] = {
      ScoredGate(&sequences, gate).Score(backend, step),
      ScoredGate(&sequences, gate).Score(Backend::kReference, step)};
  const int64_t n = NumBlocks(1000);
  std::vector<float> fast, plain, truth;
  for (int64_t row = 0; row < n * shape.num_query_heads; ++row) {
    const int64_t i = row / shape.num_query_heads;
    const int64_t h = row % shape.num_query_heads;
    for (int64_t j = 0; j <= i; ++j) {
      fast.push_back(scores[0][row * n + j]);
      plain.push_back(scores[1][row * n + j]);
      truth.push_back(static_cast<float>(exact.logits[(h * n + i) * n + j]));
    }
  }
  return WithinErrorBudget(fast, plain, truth, DType::kFloat32);
}

void Prefill(benchmark::State& state, Backend backend, Gate gate) {
  const HeadShape shape{9, 3, 64};
  if (!IsRight(backend, shape, MakeGate(gate, shape))) {
    state.SkipWithError("outside the error budget");
    return;
  }
  const int32_t len = static_cast<int32_t>(state.range(0));
  ThreadPool threads(static_cast<int>(state.range(1)));
  PagedSequences sequences(shape, DType::kBFloat16,
                           {RandomTokens(shape, len, len, DType::kBFloat16, 1)},
                           RopeConfig(), 1);
  const PreparedStep step =
      sequences.Prepare(Backend::kCpu, sequences.WholePrompts());
  ScoredGate scored(&sequences, MakeGate(gate, shape));
  const int32_t num_tiles = step.batch.batch().num_prompt_tiles;
  std::vector<int32_t> tiles(num_tiles);
  std::iota(tiles.begin(), tiles.end(), 0);
  std::vector<float> logits(int64_t{num_tiles} * shape.num_query_heads *
                            ScoredGate::RowLen(step));
  const GateScoreArgs args = scored.Args(step, tiles, logits.data());
  for (auto _ : state) {
    if (!GateScore(backend, args, DeviceStream{&threads}).ok()) {
      state.SkipWithError("refused");
    }
  }
}

void Sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tokens", "threads"})
      ->Args({2048, 1})
      ->Args({8192, 1})
      ->Args({8192, 2})
      ->Args({32768, 2})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

BENCHMARK_CAPTURE(Prefill, cpu_mean_pool, Backend::kCpu, Gate::kMeanPool)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Prefill, cpu_qavg_kmaxminavg, Backend::kCpu, Gate::kSingle)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Prefill, cpu_qmaxminavg_kmaxminavg, Backend::kCpu,
                  Gate::kDouble)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(Prefill, reference_qavg_kmaxminavg, Backend::kReference,
                  Gate::kSingle)
    ->ArgNames({"tokens", "threads"})
    ->Args({2048, 1})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

#ifdef SEER_CUDA
constexpr HeadShape kGpuShape{32, 8, 128};
// One iteration is one call of this many in a row.
constexpr int kCallsInARow = 20;

// The gate of one prompt over pools whose values, which repeat, do not matter
// to its speed.
class PromptGate {
 public:
  PromptGate(int32_t len, const GateWeights& gate)
      : ragged_({WholePrompt(len)}, 1),
        tiles_(ragged_.batch().num_prompt_tiles),
        linear_q_(DType::kBFloat16, gate.linear_q),
        linear_k_(DType::kBFloat16, gate.linear_k),
        pooled_queries_(Pattern(tiles_.size() * kGpuShape.num_query_heads *
                                kNumPools * kGpuShape.head_dim)),
        pooled_keys_(Pattern(ragged_.num_pages() * kGpuShape.num_kv_heads *
                             kNumPools * kGpuShape.head_dim)),
        angles_(Pattern(int64_t{len} * kGpuShape.head_dim / 2)),
        logits_(tiles_.size() * kGpuShape.num_query_heads * tiles_.size()) {
    std::iota(tiles_.begin(), tiles_.end(), 0);
    const bool is_single = !gate.mean_pool && !gate.is_double();
    args_.batch = ragged_.batch();
    args_.num_query_heads = kGpuShape.num_query_heads;
    args_.gate.mean_pool = gate.mean_pool;
    args_.gate.query_pools = gate.query_pools;
    args_.gate.key_pools = gate.key_pools;
    if (gate.is_double()) args_.gate.linear_q = linear_q_.data();
    if (!gate.mean_pool) args_.gate.linear_k = linear_k_.data();
    args_.rope = {angles_.data(), angles_.data(), len, kGpuShape.head_dim};
    args_.tile_indices = tiles_.data();
    args_.num_scored_tiles = static_cast<int32_t>(tiles_.size());
    args_.pooled_queries = pooled_queries_.data();
    args_.kv.pages = pooled_keys_.data();  // not read
    args_.kv.pooled_keys = pooled_keys_.data();
    args_.kv.num_pages = ragged_.num_pages();
    args_.kv.num_kv_heads = kGpuShape.num_kv_heads;
    args_.kv.head_dim = kGpuShape.head_dim;
    args_.num_entry_heads =
        is_single ? kGpuShape.num_query_heads : kGpuShape.num_kv_heads;
    key_entries_.resize(args_.kv.num_pages * args_.num_entry_heads *
                        kGpuShape.head_dim);
    args_.key_entries = key_entries_.data();
    args_.logits = logits_.data();
    args_.logits_row_len = args_.num_scored_tiles;
  }
  PromptGate(const PromptGate&) = delete;
  PromptGate& operator=(const PromptGate&) = delete;

  const GateScoreArgs& args() const { return args_; }

 private:
  static std::vector<float> Pattern(int64_t size) {
    std::vector<float> values(size);
    for (int64_t i = 0; i < size; ++i) {
      values[i] = static_cast<float>(i * 37 % 1001) * 1e-3f;
    }
    return values;
  }

  const RaggedCase ragged_;
  std::vector<int32_t> tiles_;
  TypedArray linear_q_, linear_k_;
  std::vector<float> pooled_queries_, pooled_keys_, angles_;
  std::vector<BFloat16> key_entries_;
  std::vector<float> logits_;
  GateScoreArgs args_;
};

void PromptOnGpu(benchmark::State& state, Gate kind) {
  const std::string missing = MissingCudaDevice();
  if (!missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  const GateWeights gate = MakeGate(kind, kGpuShape);
  if (!IsRight(Backend::kCuda, kGpuShape, gate)) {
    state.SkipWithError("outside the error budget");
    return;
  }
  const PromptGate prompt(static_cast<int32_t>(state.range(0)), gate);
  const DeviceGateScore device(prompt.args());
  TestStream stream(GateScoreWorkspaceBytes(Backend::kCuda, prompt.args()));
  const auto score = [&](DeviceStream on) {
    return GateScore(Backend::kCuda, device.args(), on);
  };
  if (!stream.Run(/*in_graph=*/false, score).ok()) {
    state.SkipWithError("refused");
    return;
  }
  for (auto _ : state) {
    const absl::StatusOr<double> seconds = stream.Time(kCallsInARow, score);
    if (!seconds.ok()) {
      state.SkipWithError("refused");
      return;
    }
    state.SetIterationTime(*seconds);
  }
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

BENCHMARK_CAPTURE(PromptOnGpu, mean_pool, Gate::kMeanPool)->Apply(GpuSizes);
BENCHMARK_CAPTURE(PromptOnGpu, qavg_kmaxminavg, Gate::kSingle)->Apply(GpuSizes);
BENCHMARK_CAPTURE(PromptOnGpu, qmaxminavg_kmaxminavg, Gate::kDouble)
    ->Apply(GpuSizes);
#endif  // SEER_CUDA

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
