// The gate of one layer over one prompt, SmolLM2-135M's heads. Before it is
// timed, a shorter prompt is checked against the error budget.
//   gate_score_benchmark --benchmark_repetitions=9
#include <numeric>
#include <vector>

#include "base/thread_pool.h"
#include "benchmark/benchmark.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/gate_oracle.h"
#include "tests/testing/kernels/paged_sequences.h"
#include "tests/testing/kernels/scored_gate.h"

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

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
