// What the targets of calibration cost beside dense attention, on the CPU and,
// in a build with --config=cuda, on a GPU. Checks both, then times them in turn
// on the same tiles.
//
//   bazel build //kernels/attention_pooling:attention_pooling_benchmark
//   attention_pooling_benchmark --commit=$(git rev-parse HEAD)
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/internal/raw_logging.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/thread/thread_pool.h"
#include "kernels/attention/attention.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "tests/testing/benchmark_report.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/attention_case.h"
#include "tests/testing/kernels/cases/pooling_case.h"
#include "tests/testing/kernels/oracles/plain_pooling.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_attention.h"
#include "tests/testing/kernels/cuda/test_stream.h"
#endif

ABSL_FLAG(std::string, commit, "not given", "Commit of the code that runs.");
ABSL_FLAG(std::string, output, "", "File of the report; none: print it.");
ABSL_FLAG(bool, cpu, true, "Whether to measure the CPU.");
ABSL_FLAG(int, threads, 0, "Threads of the CPU; 0: one a processor.");
ABSL_FLAG(int, repetitions, 9, "Interleaved repetitions.");

namespace seer {
namespace {

constexpr uint64_t kSeed = 17;

void Check(const absl::Status& status) {
  ABSL_RAW_CHECK(status.ok(), std::string(status.message()).c_str());
}

// CHECK-fails unless the targets of some tiles are within the error budget.
void CheckTargets(Backend backend, const AttentionShape& shape, DType dtype) {
  const AttentionCase c(shape, dtype,
                        {WholePrompt(300), PromptChunk(4097, 4032, 4097)}, {},
                        {kSeed, kSeed + 1});
  const auto run = [](Backend on) {
    return [on](const AttentionPoolingArgs& args) {
      Check(PoolAttentionFromHost(on, args));
    };
  };
  const auto within = WithinPoolingBudget(
      c, RunPooling(c, run(backend)), RunPooling(c, PoolPlainly),
      RunPooling(c.Widened(), run(Backend::kReference)));
  ABSL_RAW_CHECK(within, within.message());
}

// One thing that is timed.
struct Contender {
  std::string name;
  std::function<double()> seconds;  // of one call
  std::vector<double> milliseconds;
};

// Times the contenders in turn; each is compared with the first.
void Measure(std::vector<Contender> contenders, BenchmarkReport* report) {
  for (Contender& c : contenders) c.seconds();
  for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
    for (Contender& c : contenders) c.milliseconds.push_back(1e3 * c.seconds());
  }
  for (const Contender& c : contenders) {
    std::vector<double> ratios;
    for (size_t i = 0; i < c.milliseconds.size(); ++i) {
      ratios.push_back(c.milliseconds[i] / contenders[0].milliseconds[i]);
    }
    report->AddRow({c.name, FormatSpread(SpreadOf(c.milliseconds), 3),
                    FormatSpread(SpreadOf(ratios), 3)});
  }
}

// Dense attention, and the same with both targets and with each: `attend` and
// `pool` return the seconds of one call.
std::vector<Contender> Contenders(
    const AttentionPoolingArgs& args,
    const std::function<double(const AttentionArgs&)>& attend,
    const std::function<double(const AttentionPoolingArgs&)>& pool) {
  AttentionPoolingArgs only_max = args;
  only_max.mass_target = nullptr;
  return {{"dense attention", [=] { return attend(args.attention); }, {}},
          {"with both targets", [=] { return pool(args); }, {}},
          {"with the max target", [=] { return pool(only_max); }, {}}};
}

void StartTable(const AttentionCase& c, const std::string& what,
                BenchmarkReport* report) {
  const AttentionShape& shape = c.shape();
  report->StartTable(
      absl::StrCat(what, ", ", c.dtype() == DType::kFloat32 ? "fp32" : "bf16",
                   ", ", shape.num_query_heads(), " query heads, ",
                   shape.num_kv_heads, " KV heads, D ", shape.head_dim),
      {"", "ms", "times dense attention"});
}

void BenchmarkCpu(DType dtype, int32_t len, DeviceStream stream,
                  BenchmarkReport* report) {
  const AttentionShape shape = {3, 3, 64};
  CheckTargets(Backend::kCpu, shape, dtype);
  const AttentionCase c(shape, dtype, {WholePrompt(len)}, {}, {kSeed});
  const auto timed = [](const std::function<absl::Status()>& call) {
    const absl::Time start = absl::Now();
    Check(call());
    return absl::ToDoubleSeconds(absl::Now() - start);
  };
  StartTable(c, absl::StrCat("CPU, ", len, " tokens"), report);
  RunPooling(c, [&](const AttentionPoolingArgs& args) {
    Measure(Contenders(
                args,
                [&](const AttentionArgs& attention) {
                  return timed(
                      [&] { return Attend(Backend::kCpu, attention, stream); });
                },
                [&](const AttentionPoolingArgs& pooling) {
                  return timed([&] {
                    return PoolAttention(Backend::kCpu, pooling, stream);
                  });
                }),
            report);
  });
}

#ifdef SEER_CUDA
// The tiles of rows [begin, len) of a prompt.
void BenchmarkGpu(const AttentionShape& shape, int32_t begin, int32_t len,
                  BenchmarkReport* report) {
  const DType dtype = DType::kBFloat16;
  const AttentionCase c(shape, dtype, {PromptChunk(len, begin, len)}, {},
                        {kSeed});
  const DeviceAttention device(c.Args(nullptr, nullptr));
  AttentionPoolingArgs args;
  args.attention = device.args();
  args.row_len = static_cast<int32_t>(NumBlocks(len));
  const int64_t items = int64_t{c.batch().num_tiles} * shape.num_query_heads();
  const DeviceArray out(items * kBlockSize * shape.head_dim * SizeOf(dtype));
  const DeviceArray max_target(items * args.row_len * sizeof(float));
  const DeviceArray mass_target(items * args.row_len * sizeof(float));
  args.attention.out = out.data();
  args.max_target = max_target.As<float>();
  args.mass_target = mass_target.As<float>();
  const int64_t bytes = AttentionPoolingWorkspaceBytes(Backend::kCuda, args);
  TestStream stream(bytes);
  constexpr int kCallsInARow = 5;
  const auto timed = [&](TestStream::Enqueue enqueue) {
    const absl::StatusOr<double> seconds = stream.Time(kCallsInARow, enqueue);
    Check(seconds.status());
    return *seconds;
  };
  StartTable(c,
             absl::StrCat("GPU, rows ", begin, " to ", len, ", ", bytes >> 20,
                          " MiB of workspace"),
             report);
  Measure(Contenders(
              args,
              [&](const AttentionArgs& attention) {
                return timed([&](DeviceStream on) {
                  return Attend(Backend::kCuda, attention, on);
                });
              },
              [&](const AttentionPoolingArgs& pooling) {
                return timed([&](DeviceStream on) {
                  return PoolAttention(Backend::kCuda, pooling, on);
                });
              }),
          report);
}

void BenchmarkGpuShapes(BenchmarkReport* report) {
  for (const AttentionShape& shape :
       {AttentionShape{8, 4, 128}, AttentionShape{3, 3, 64}}) {
    CheckTargets(Backend::kCuda, shape, DType::kBFloat16);
    BenchmarkGpu(shape, 0, 8192, report);
    BenchmarkGpu(shape, 0, 32768, report);
    // Ranges as calibration takes them.
    BenchmarkGpu(shape, 32768 - 1024, 32768, report);
    BenchmarkGpu(shape, 131072 - 4096, 131072, report);
  }
}
#endif

int Main() {
  const int flag = absl::GetFlag(FLAGS_threads);
  const int num_threads =
      flag > 0 ? flag : static_cast<int>(std::thread::hardware_concurrency());
  BenchmarkReport report("The targets of calibration",
                         absl::GetFlag(FLAGS_commit));
  report.AddFact("Flags",
                 absl::StrCat("--threads=", num_threads, " --repetitions=",
                              absl::GetFlag(FLAGS_repetitions)));
  report.AddFact("Figures",
                 "median (lowest-highest); contenders run in turn, and a ratio "
                 "is taken within its turn; a GPU's are device times");
  if (absl::GetFlag(FLAGS_cpu)) {
    ThreadPool threads(num_threads);
    for (const DType dtype : {DType::kBFloat16, DType::kFloat32}) {
      for (const int32_t len : {2048, 8192}) {
        BenchmarkCpu(dtype, len, DeviceStream{&threads}, &report);
      }
    }
  }
#ifdef SEER_CUDA
  const std::string missing = MissingBackend(Backend::kCuda);
  if (missing.empty()) {
    BenchmarkGpuShapes(&report);
  } else {
    report.AddText(absl::StrCat("No GPU was measured: ", missing));
  }
#endif
  return report.WriteTo(absl::GetFlag(FLAGS_output)) ? 0 : 1;
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return seer::Main();
}
