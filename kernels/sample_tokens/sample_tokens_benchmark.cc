// The draws of a decode step's rows on a GPU, Llama 3's vocabulary. The time is
// the device's. Checked against what may be drawn before it is timed.
//   sample_tokens_benchmark --benchmark_repetitions=9
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/sample_tokens/sample_tokens.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/test_stream.h"
#include "tests/testing/kernels/oracles/draw_oracle.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {
namespace {

constexpr int32_t kVocabSize = 128256;
// One iteration is one call of this many in a row.
constexpr int kCallsInARow = 20;

enum Options { kGreedy, kPlain, kTopK, kTopP, kMinP, kAll };

TokenDraw DrawWith(Options options) {
  TokenDraw draw;
  draw.temperature = options == kGreedy ? 0.0 : 1.0;
  if (options == kTopK) draw.top_k = 50;
  if (options == kTopP || options == kAll) draw.top_p = 0.9;
  if (options == kMinP || options == kAll) draw.min_p = 0.05;
  if (options == kAll) {
    draw.top_k = 1000;
    draw.repetition_penalty = 1.1;
    draw.num_adjustments = 2000;
  }
  return draw;
}

void DecodeStep(benchmark::State& state, DType dtype, Options options,
                float deviation) {
  const std::string missing = MissingCudaDevice();
  if (!missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  SampleTokensArgs args;
  args.dtype = dtype;
  args.num_rows = state.range(0);
  args.vocab_size = kVocabSize;
  TypedArray logits(dtype, args.num_rows * kVocabSize);
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal(0.0f, deviation);
  for (int64_t i = 0; i < logits.size(); ++i) logits.Set(i, normal(random));
  std::vector<TokenDraw> draws(args.num_rows, DrawWith(options));
  std::vector<TokenAdjustment> adjustments(draws[0].num_adjustments);
  for (size_t i = 0; i < adjustments.size(); ++i) {
    adjustments[i].token = static_cast<int32_t>(i * 61);
    adjustments[i].count = static_cast<int32_t>(i % 3);
  }
  for (size_t i = 0; i < draws.size(); ++i) {
    draws[i].row = static_cast<int32_t>(i);
    draws[i].uniform = static_cast<double>(random() >> 11) * 0x1p-53;
  }
  std::vector<int32_t> ids(draws.size());
  args.num_draws = draws.size();
  args.num_adjustments = adjustments.size();

  const DeviceArray device_logits(logits.data(), logits.size() * SizeOf(dtype));
  const DeviceArray device_draws = DeviceArray::Of(draws);
  const DeviceArray device_adjustments = DeviceArray::Of(adjustments);
  const DeviceArray device_ids(ids.size() * sizeof(int32_t));
  SampleTokensArgs on_device = args;
  on_device.logits = device_logits.data();
  on_device.draws = device_draws.As<TokenDraw>();
  on_device.adjustments = device_adjustments.As<TokenAdjustment>();
  on_device.ids = device_ids.As<int32_t>();
  TestStream stream;
  const auto sample = [&on_device](DeviceStream on) {
    return SampleTokens(Backend::kCuda, on_device, on);
  };
  if (!stream.Run(/*in_graph=*/false, sample).ok()) {
    state.SkipWithError("refused");
    return;
  }
  device_ids.CopyTo(ids.data());
  args.logits = logits.data();
  args.draws = draws.data();
  args.adjustments = adjustments.data();
  for (size_t i = 0; i < draws.size(); ++i) {
    if (!DrawOracle(args, draws[i]).Allows(ids[i], draws[i].uniform)) {
      state.SkipWithError("drew what it may not");
      return;
    }
  }
  for (auto _ : state) {
    const absl::StatusOr<double> seconds = stream.Time(kCallsInARow, sample);
    if (!seconds.ok()) {
      state.SkipWithError("refused");
      return;
    }
    state.SetIterationTime(*seconds);
  }
}

void Rows(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("rows")
      ->Arg(1)
      ->Arg(64)
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(20)
      ->UseManualTime();
}

// Logits of a deviation of 4 are peaked, of 0.5 flat; of 0 all are equal, the
// longest way to a draw in order of logit.
constexpr DType kBf16 = DType::kBFloat16;
BENCHMARK_CAPTURE(DecodeStep, greedy, kBf16, kGreedy, 4.0f)->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, plain, kBf16, kPlain, 4.0f)->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, plain_fp32, DType::kFloat32, kPlain, 4.0f)
    ->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, top_k, kBf16, kTopK, 4.0f)->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, top_p, kBf16, kTopP, 4.0f)->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, top_p_flat, kBf16, kTopP, 0.5f)->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, top_p_equal, kBf16, kTopP, 0.0f)->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, min_p, kBf16, kMinP, 4.0f)->Apply(Rows);
BENCHMARK_CAPTURE(DecodeStep, all, kBf16, kAll, 4.0f)->Apply(Rows);

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
