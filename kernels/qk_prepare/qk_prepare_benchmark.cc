// One prompt through QkPrepare, SmolLM2-135M's heads. Checked against the
// reference, bit for bit, before it is timed.
//   qk_prepare_benchmark --benchmark_repetitions=9
#include "base/thread_pool.h"
#include "benchmark/benchmark.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "tests/testing/kernels/paged_sequences.h"

namespace seer {
namespace {

void Prefill(benchmark::State& state, Backend backend) {
  const HeadShape shape{9, 3, 64};
  const int32_t len = static_cast<int32_t>(state.range(0));
  ThreadPool threads(static_cast<int>(state.range(1)));
  PagedSequences sequences(shape, DType::kBFloat16,
                           {RandomTokens(shape, len, len, DType::kBFloat16, 1)},
                           RopeConfig(), 1);
  PreparedStep step = sequences.Prepare(backend, sequences.WholePrompts());
  QkPrepareArgs args;
  args.batch = step.batch.batch();
  args.num_query_heads = shape.num_query_heads;
  args.queries = step.queries.data();
  args.keys = step.keys.data();
  args.values = step.values.data();
  args.rope = sequences.rope();
  args.roped_queries = step.roped_queries.data();
  args.kv = sequences.kv();
  args.pooled_queries = step.pooled_queries.data();
  if (step.pooled_queries !=
      sequences.Prepare(Backend::kReference, sequences.WholePrompts())
          .pooled_queries) {
    state.SkipWithError("differs from the reference");
    return;
  }
  for (auto _ : state) {
    if (!QkPrepare(backend, args, DeviceStream{&threads}).ok()) {
      state.SkipWithError("refused");
    }
  }
  state.SetItemsProcessed(state.iterations() * len);
}

BENCHMARK_CAPTURE(Prefill, cpu, Backend::kCpu)
    ->ArgNames({"tokens", "threads"})
    ->Args({512, 1})
    ->Args({8192, 1})
    ->Args({8192, 2})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(Prefill, reference, Backend::kReference)
    ->ArgNames({"tokens", "threads"})
    ->Args({512, 1})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
