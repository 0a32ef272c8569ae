// The best tokens of a decode step's rows on a GPU, Llama 3's vocabulary, bf16.
// The time is the device's. Checked against the reference before it is timed.
//   top_tokens_benchmark --benchmark_repetitions=9
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/top_tokens/top_tokens.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/test_stream.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {
namespace {

constexpr int32_t kVocabSize = 128256;
// One iteration is one call of this many in a row.
constexpr int kCallsInARow = 20;

void DecodeStep(benchmark::State& state) {
  const std::string missing = MissingCudaDevice();
  if (!missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  TopTokensArgs args;
  args.num_rows = state.range(0);
  args.vocab_size = kVocabSize;
  args.num_top = static_cast<int32_t>(state.range(1));
  TypedArray logits(DType::kBFloat16, args.num_rows * kVocabSize);
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  for (int64_t i = 0; i < logits.size(); ++i) logits.Set(i, normal(random));
  std::vector<int32_t> want(args.num_rows * args.num_top), got(want.size());
  std::vector<float> top_logits(want.size());
  args.logits = logits.data();
  args.ids = want.data();
  args.top_logits = top_logits.data();
  const bool reference_ran = TopTokens(Backend::kReference, args, {}).ok();

  const DeviceArray device_logits(logits.data(),
                                  logits.size() * SizeOf(args.dtype));
  const DeviceArray device_ids(want.size() * sizeof(int32_t));
  const DeviceArray device_top_logits(want.size() * sizeof(float));
  const DeviceArray log_sum_exp(args.num_rows * sizeof(double));
  args.logits = device_logits.data();
  args.ids = device_ids.As<int32_t>();
  args.top_logits = device_top_logits.As<float>();
  // The best token alone takes one pass.
  if (args.num_top > 1) args.log_sum_exp = log_sum_exp.As<double>();
  TestStream stream;
  const auto choose = [&args](DeviceStream on) {
    return TopTokens(Backend::kCuda, args, on);
  };
  const bool gpu_ran = stream.Run(/*in_graph=*/false, choose).ok();
  device_ids.CopyTo(got.data());
  if (!reference_ran || !gpu_ran || got != want) {
    state.SkipWithError("differs from the reference");
    return;
  }
  for (auto _ : state) {
    const absl::StatusOr<double> seconds = stream.Time(kCallsInARow, choose);
    if (!seconds.ok()) {
      state.SkipWithError("refused");
      return;
    }
    state.SetIterationTime(*seconds);
  }
}

BENCHMARK(DecodeStep)
    ->ArgNames({"rows", "num_top"})
    ->Args({1, 1})
    ->Args({64, 1})
    ->Args({1, 20})
    ->Args({64, 20})
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(20)
    ->UseManualTime();

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
