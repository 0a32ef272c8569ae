// Row-wise operations on a GPU, bf16, at the sizes of an 8B Llama: a long
// chunk's rows, and the rows of a decode step. The time is the device's; the
// rate counts every byte that must be read or written once.
//   rowwise_benchmark --benchmark_repetitions=9
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/rowwise/rowwise.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/test_stream.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {
namespace {

constexpr int32_t kHiddenSize = 4096;
constexpr int32_t kIntermediateSize = 14336;
// One iteration is one call of this many in a row.
constexpr int kCallsInARow = 20;

DeviceArray Ones(int64_t size) {
  const TypedArray ones(DType::kBFloat16, size, 1.0f);
  return DeviceArray(ones.data(), size * SizeOf(DType::kBFloat16));
}

// Whether all of an array is `value`.
bool IsAll(const DeviceArray& array, float value) {
  TypedArray host(DType::kBFloat16,
                  array.num_bytes() / SizeOf(DType::kBFloat16));
  array.CopyTo(host.data());
  for (int64_t i = 0; i < host.size(); ++i) {
    if (host.Get(i) != value) return false;
  }
  return true;
}

void Time(benchmark::State& state, const DeviceArray& out, float want,
          int64_t num_bytes, TestStream::Enqueue enqueue) {
  TestStream stream;
  if (!stream.Run(/*in_graph=*/false, enqueue).ok() || !IsAll(out, want)) {
    state.SkipWithError("a wrong result");
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
  state.SetBytesProcessed(num_bytes * state.iterations());
}

bool CanRun(benchmark::State& state) {
  const std::string missing = MissingCudaDevice();
  if (!missing.empty()) state.SkipWithError(missing.c_str());
  return missing.empty();
}

void AddAndNorm(benchmark::State& state) {
  if (!CanRun(state)) return;
  const int64_t size = state.range(0) * kHiddenSize;
  const DeviceArray x = Ones(size), weight = Ones(kHiddenSize), out(2 * size);
  const DeviceArray addend(TypedArray(DType::kBFloat16, size).data(), 2 * size);
  RmsNormArgs args;
  args.num_rows = state.range(0);
  args.width = kHiddenSize;
  args.x = x.data();
  args.addend = addend.data();
  args.weight = weight.data();
  args.out = out.data();
  Time(state, out, 1.0f, 4 * 2 * size,
       [&](DeviceStream on) { return RmsNorm(Backend::kCuda, args, on); });
}

void SiluAndMul(benchmark::State& state) {
  if (!CanRun(state)) return;
  const int64_t size = state.range(0) * kIntermediateSize;
  const DeviceArray gate_up = Ones(2 * size), out(2 * size);
  SiluMulArgs args;
  args.num_rows = state.range(0);
  args.width = kIntermediateSize;
  args.gate_up = gate_up.data();
  args.out = out.data();
  constexpr float kSiluOfOne = 0.73046875f;  // as bf16 has it
  Time(state, out, kSiluOfOne, 3 * 2 * size,
       [&](DeviceStream on) { return SiluMul(Backend::kCuda, args, on); });
}

void Rows(benchmark::internal::Benchmark* b) {
  b->ArgName("rows")
      ->Arg(8192)
      ->Arg(64)
      ->Arg(1)
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(20)
      ->UseManualTime();
}

BENCHMARK(AddAndNorm)->Apply(Rows);
BENCHMARK(SiluAndMul)->Apply(Rows);

}  // namespace
}  // namespace seer

BENCHMARK_MAIN();
