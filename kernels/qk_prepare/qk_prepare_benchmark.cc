// One step through QkPrepare: SmolLM2-135M's heads on the CPU, Llama 8B's on a
// GPU, whose time is the device's. Checked against the reference, bit for bit,
// before it is timed.
//   qk_prepare_benchmark --benchmark_repetitions=9
#include <cstring>
#include <vector>

#include "base/thread/thread_pool.h"
#include "benchmark/benchmark.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_qk_prepare.h"
#include "tests/testing/kernels/cuda/test_stream.h"
#endif

namespace seer {
namespace {

bool IsRight(Backend backend, const HeadShape& shape, int32_t len) {
  PagedSequences sequences(shape, DType::kBFloat16,
                           {RandomTokens(shape, len, len, DType::kBFloat16, 1)},
                           RopeConfig(), 1);
  const PreparedStep step =
      sequences.Prepare(backend, sequences.WholePrompts());
  const PreparedStep reference =
      sequences.Prepare(Backend::kReference, sequences.WholePrompts());
  return step.pooled_queries == reference.pooled_queries &&
         step.roped_queries.ToFloats() == reference.roped_queries.ToFloats();
}

void OnCpu(benchmark::State& state, Backend backend) {
  const HeadShape shape{9, 3, 64};
  const int32_t len = static_cast<int32_t>(state.range(0));
  ThreadPool threads(static_cast<int>(state.range(1)));
  if (!IsRight(backend, shape, len)) {
    state.SkipWithError("differs from the reference");
    return;
  }
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
  for (auto _ : state) {
    if (!QkPrepare(backend, args, DeviceStream{&threads}).ok()) {
      state.SkipWithError("refused");
    }
  }
  state.SetItemsProcessed(state.iterations() * len);
}

BENCHMARK_CAPTURE(OnCpu, cpu, Backend::kCpu)
    ->ArgNames({"tokens", "threads"})
    ->Args({512, 1})
    ->Args({8192, 1})
    ->Args({8192, 2})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(OnCpu, reference, Backend::kReference)
    ->ArgNames({"tokens", "threads"})
    ->Args({512, 1})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

#ifdef SEER_CUDA
constexpr HeadShape kGpuShape{32, 8, 128};
// One iteration is one call of this many in a row.
constexpr int kCallsInARow = 20;

// A step whose queries, keys and values are columns of one fused projection.
// Values, which repeat, do not matter to its speed.
class FusedStep {
 public:
  explicit FusedStep(const std::vector<SliceSpec>& specs)
      : ragged_(specs, 1),
        rows_(ragged_.batch().num_rows * kWidth * 2),
        roped_(ragged_.batch().num_rows * kQueryWidth * 2),
        pages_(ragged_.num_pages() * 2 * kBlockSize * kKeyWidth * 2),
        pooled_keys_(ragged_.num_pages() * kNumPools * kKeyWidth),
        pooled_queries_(ragged_.batch().num_prompt_tiles * kNumPools *
                        kQueryWidth),
        cos_(ragged_.max_visible_blocks() * kBlockSize *
             (kGpuShape.head_dim / 2)),
        sin_(cos_.size()) {
    for (size_t i = 0; i + 1 < rows_.size(); i += 2) {
      const BFloat16 value(static_cast<float>(i * 37 % 1001) - 500.0f);
      std::memcpy(&rows_[i], &value, sizeof(value));
    }
    args_.batch = ragged_.batch();
    args_.num_query_heads = kGpuShape.num_query_heads;
    args_.queries = rows_.data();
    args_.keys = rows_.data() + kQueryWidth * 2;
    args_.values = rows_.data() + (kQueryWidth + kKeyWidth) * 2;
    args_.query_row_stride = kWidth;
    args_.key_row_stride = kWidth;
    args_.value_row_stride = kWidth;
    args_.rope.cos = cos_.data();
    args_.rope.sin = sin_.data();
    args_.rope.head_dim = kGpuShape.head_dim;
    args_.rope.num_positions =
        int64_t{ragged_.max_visible_blocks()} * kBlockSize;
    args_.roped_queries = roped_.data();
    args_.kv.pages = pages_.data();
    args_.kv.pooled_keys = pooled_keys_.data();
    args_.kv.num_pages = ragged_.num_pages();
    args_.kv.num_kv_heads = kGpuShape.num_kv_heads;
    args_.kv.head_dim = kGpuShape.head_dim;
    args_.pooled_queries = pooled_queries_.data();
  }
  FusedStep(const FusedStep&) = delete;
  FusedStep& operator=(const FusedStep&) = delete;

  const QkPrepareArgs& args() const { return args_; }

  // That a call reads and writes at least: rows in and out, pools out.
  int64_t NumBytes() const {
    const RaggedBatch& batch = ragged_.batch();
    return 2 * static_cast<int64_t>(rows_.size()) +
           batch.num_prompt_tiles * kNumPools * (kQueryWidth + kKeyWidth) * 4;
  }

 private:
  static constexpr int64_t kQueryWidth =
      kGpuShape.num_query_heads * kGpuShape.head_dim;
  static constexpr int64_t kKeyWidth =
      kGpuShape.num_kv_heads * kGpuShape.head_dim;
  static constexpr int64_t kWidth = kQueryWidth + 2 * kKeyWidth;

  const RaggedCase ragged_;
  std::vector<char> rows_, roped_, pages_;
  std::vector<float> pooled_keys_, pooled_queries_, cos_, sin_;
  QkPrepareArgs args_;
};

// Times `enqueue` on the device; whether it ran.
void TimeOnGpu(benchmark::State& state, TestStream::Enqueue enqueue) {
  TestStream stream;
  if (!stream.Time(2, enqueue).ok()) {
    state.SkipWithError("refused");
    return;
  }
  for (auto _ : state) {
    const absl::StatusOr<double> seconds = stream.Time(kCallsInARow, enqueue);
    if (!seconds.ok()) {
      state.SkipWithError("refused");
      return;
    }
    state.SetIterationTime(*seconds);
  }
}

void RunOnGpu(benchmark::State& state, const std::vector<SliceSpec>& specs) {
  const std::string missing = MissingCudaDevice();
  if (!missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  if (!IsRight(Backend::kCuda, kGpuShape, 1000)) {
    state.SkipWithError("differs from the reference");
    return;
  }
  const FusedStep step(specs);
  const DeviceQkPrepare device(step.args());
  TimeOnGpu(state, [&](DeviceStream on) {
    return QkPrepare(Backend::kCuda, device.args(), on);
  });
  state.SetBytesProcessed(state.iterations() * step.NumBytes());
}

void PromptOnGpu(benchmark::State& state) {
  RunOnGpu(state, {WholePrompt(static_cast<int32_t>(state.range(0)))});
}

// One row of each of many sequences of 1000 tokens.
void DecodeOnGpu(benchmark::State& state) {
  RunOnGpu(state,
           std::vector<SliceSpec>(state.range(0), GeneratedRows(1, 1000, 1)));
}

// What the device's own copy takes for as many bytes as a prompt's rows, read
// and written: the roof.
void CopyOnGpu(benchmark::State& state) {
  const std::string missing = MissingCudaDevice();
  if (!missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  const int64_t num_bytes = state.range(0) * (32 + 2 * 8) * 128 * 2;
  const DeviceArray from(num_bytes), to(num_bytes);
  TimeOnGpu(state, [&](DeviceStream on) {
    to.EnqueueCopyOf(from, on.cuda_stream);
    return absl::OkStatus();
  });
  state.SetBytesProcessed(state.iterations() * 2 * num_bytes);
}

void GpuSizes(benchmark::internal::Benchmark* b) {
  b->ArgName("tokens")
      ->Arg(2048)
      ->Arg(8192)
      ->Arg(32768)
      ->Arg(131072)
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(20)
      ->UseManualTime();
}

BENCHMARK(PromptOnGpu)->Apply(GpuSizes);
BENCHMARK(CopyOnGpu)->Apply(GpuSizes);
BENCHMARK(DecodeOnGpu)
    ->ArgName("sequences")
    ->Arg(1)
    ->Arg(64)
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(20)
    ->UseManualTime();
#endif  // SEER_CUDA

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
