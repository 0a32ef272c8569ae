// Block-sparse attention on the CPU against torch's SDPA, in one process on
// the same values, after checking both:
//
//   bazel build //kernels/attention:attention_benchmark
//   attention_benchmark --commit=$(git rev-parse HEAD) --output=REPORT.md
//
// The heads are SmolLM2-135M's: 9 query heads over 3 KV heads, head_dim 64.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/internal/raw_logging.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/thread/thread_pool.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/cpu/attention_cpu.h"
#include "kernels/attention/cpu/instruction_set.h"
#include "tests/testing/benchmark_report.h"
#include "tests/testing/kernels/cases/attention_case.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/oracles/plain_attention.h"

ABSL_FLAG(std::string, commit, "not given", "Commit of the code that runs.");
ABSL_FLAG(std::string, output, "", "File of the report; none: print it.");
ABSL_FLAG(int, threads, 0, "Threads; 0: one a processor.");
ABSL_FLAG(int, repetitions, 9, "Interleaved repetitions.");

namespace seer {
namespace {

constexpr int32_t kQueryHeads = 9;
constexpr int32_t kKvHeads = 3;
constexpr int32_t kHeadDim = 64;
constexpr uint64_t kSeed = 17;
const double kDensities[] = {0.5, 0.2, 0.1};

// Long enough for another library's threads to stop spinning.
constexpr absl::Duration kPause = absl::Milliseconds(40);

// Random sets that hold the diagonal and `density` of each row's blocks.
struct RandomSets {
  RandomSets(const RaggedBatch& batch, double density) {
    std::mt19937_64 random(kSeed);
    sets.num_words =
        (VisibleBlocks(batch.tiles[batch.num_tiles - 1]) + 63) / 64;
    sets.num_query_heads = kQueryHeads;
    bits.assign(int64_t{batch.num_tiles} * kQueryHeads * sets.num_words, 0);
    counts.assign(int64_t{batch.num_tiles} * kQueryHeads, 0);
    sets.bits = bits.data();
    sets.counts = counts.data();
    for (int32_t t = 0; t < batch.num_tiles; ++t) {
      const int32_t visible = VisibleBlocks(batch.tiles[t]);
      const int32_t count =
          std::max(1, static_cast<int32_t>(std::lround(density * visible)));
      std::vector<int32_t> others(visible - 1);
      for (int32_t j = 0; j + 1 < visible; ++j) others[j] = j;
      for (int32_t h = 0; h < kQueryHeads; ++h) {
        std::shuffle(others.begin(), others.end(), random);
        Insert(t, h, visible - 1);
        for (int32_t i = 0; i + 1 < count; ++i) Insert(t, h, others[i]);
      }
    }
  }
  void Insert(int32_t tile, int32_t head, int32_t block) {
    sets.Bits(tile, head)[block / 64] |= uint64_t{1} << (block % 64);
    ++counts[sets.Row(tile, head)];
  }

  std::vector<uint64_t> bits;
  std::vector<int32_t> counts;
  BlockSets sets;
};

// 4 * D FLOPs for each (row, visible key) pair in the selected blocks.
double ActiveFlops(const AttentionArgs& args) {
  double pairs = 0.0;
  for (int32_t t = 0; t < args.batch.num_tiles; ++t) {
    const Tile& tile = args.batch.tiles[t];
    for (int32_t h = 0; h < kQueryHeads; ++h) {
      const double blocks = args.sets.bits == nullptr
                                ? VisibleBlocks(tile)
                                : args.sets.counts[args.sets.Row(t, h)];
      const double rows = tile.num_rows;
      pairs += (blocks - 1) * kBlockSize * rows +
               rows * (2 * tile.offset + rows + 1) / 2;
    }
  }
  return 4.0 * kHeadDim * pairs;
}

// The arguments with one tile only.
AttentionArgs OneTile(AttentionArgs args, int32_t tile) {
  if (args.sets.bits != nullptr) {
    args.sets.bits = args.sets.Bits(tile, 0);
    args.sets.counts += args.sets.Row(tile, 0);
  }
  args.batch.tiles += tile;
  args.batch.num_tiles = 1;
  args.batch.num_prompt_tiles = tile < args.batch.num_prompt_tiles ? 1 : 0;
  return args;
}

// Queries, keys and values as torch takes them: [1, Hq, S, D], K and V
// repeated for each query head of their group.
struct TorchInputs {
  at::Tensor queries, keys, values;
};

at::Tensor Filled(DType dtype, int64_t num_rows,
                  const std::function<int64_t(int64_t, int64_t)>& offset,
                  const void* elements) {
  const auto type = dtype == DType::kFloat32 ? at::kFloat : at::kBFloat16;
  at::Tensor tensor = at::empty({1, kQueryHeads, num_rows, kHeadDim}, type);
  const int64_t row_bytes = int64_t{kHeadDim} * SizeOf(dtype);
  char* to = static_cast<char*>(tensor.data_ptr());
  for (int64_t h = 0; h < kQueryHeads; ++h) {
    for (int64_t r = 0; r < num_rows; ++r, to += row_bytes) {
      std::memcpy(
          to, static_cast<const char*>(elements) + offset(h, r) * SizeOf(dtype),
          row_bytes);
    }
  }
  return tensor;
}

TorchInputs ToTorch(const AttentionArgs& args) {
  const SequenceSlice& slice = args.batch.sequences[0];
  const PagedKv& kv = args.kv;
  const int64_t len = slice.position_begin + slice.num_rows;
  const auto page = [&](int64_t c) { return slice.page_table[c / kBlockSize]; };
  const auto head = [](int64_t h) { return h * kKvHeads / kQueryHeads; };
  TorchInputs inputs;
  inputs.queries = Filled(
      args.dtype, slice.num_rows,
      [](int64_t h, int64_t r) { return (r * kQueryHeads + h) * kHeadDim; },
      args.queries);
  inputs.keys = Filled(
      args.dtype, len,
      [&](int64_t h, int64_t c) {
        return kv.KeyOffset(page(c), head(h)) + c % kBlockSize * kHeadDim;
      },
      kv.pages);
  inputs.values = Filled(
      args.dtype, len,
      [&](int64_t h, int64_t c) {
        return kv.ValueOffset(page(c), head(h)) + c % kBlockSize * kHeadDim;
      },
      kv.pages);
  return inputs;
}

at::Tensor RunTorch(const TorchInputs& inputs) {
  const bool causal = inputs.queries.size(2) > 1;
  return at::scaled_dot_product_attention(inputs.queries, inputs.keys,
                                          inputs.values, {}, 0.0, causal);
}

// Rows of one tile of torch's result, as [num_rows, Hq, D].
std::vector<float> TorchRows(const at::Tensor& out, const Tile& tile) {
  const at::Tensor rows = out.to(at::kFloat)
                              .select(0, 0)
                              .narrow(1, tile.row_begin, tile.num_rows)
                              .transpose(0, 1)
                              .contiguous();
  const float* p = rows.data_ptr<float>();
  return std::vector<float>(p, p + rows.numel());
}

// CHECK-fails unless some tiles of the kernel's result, and torch's if it is
// dense, are within the error budget.
void CheckResults(const AttentionCase& c, const BlockSets& sets,
                  DeviceStream stream) {
  const AttentionCase wide = c.Widened();
  const auto with_sets = [&](AttentionArgs args) {
    args.sets = sets;
    return args;
  };
  const AttentionResult fast = c.Run([&](const AttentionArgs& args) {
    ABSL_RAW_CHECK(Attend(Backend::kCpu, with_sets(args), stream).ok(), "");
  });
  const bool dense = sets.bits == nullptr;
  const at::Tensor torch =
      dense ? RunTorch(ToTorch(c.Args(nullptr, nullptr))) : at::Tensor();
  const int32_t num_tiles = c.batch().num_tiles;
  for (const int32_t t : {0, num_tiles / 2, num_tiles - 1}) {
    const Tile& tile = c.batch().tiles[t];
    const auto rows_of = [&](const std::vector<float>& out) {
      const int64_t width = kQueryHeads * kHeadDim;
      return std::vector<float>(
          out.begin() + tile.row_begin * width,
          out.begin() + (tile.row_begin + tile.num_rows) * width);
    };
    const auto plain = rows_of(c.Run([&](const AttentionArgs& args) {
                                  AttendPlainly(OneTile(with_sets(args), t));
                                }).out);
    const auto reference =
        rows_of(wide.Run([&](const AttentionArgs& args) {
                      ABSL_RAW_CHECK(Attend(Backend::kReference,
                                            OneTile(with_sets(args), t), {})
                                         .ok(),
                                     "");
                    })
                    .out);
    const auto check = [&](const std::vector<float>& rows) {
      const auto within = WithinErrorBudget(rows, plain, reference, c.dtype());
      ABSL_RAW_CHECK(within, within.message());
    };
    check(rows_of(fast.out));
    if (dense) check(TorchRows(torch, tile));
  }
}

// Seconds that this process's threads have been on a processor.
double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

// One thing that is timed.
struct Contender {
  std::string name;
  double active_flops = 0.0;
  std::function<void()> run;
  std::vector<double> milliseconds, cpu_seconds;

  void Time() {
    absl::SleepFor(kPause);
    const double cpu_start = CpuSeconds();
    const absl::Time start = absl::Now();
    run();
    milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    cpu_seconds.push_back(CpuSeconds() - cpu_start);
  }
};

// Times all contenders, one after the other, again and again.
void Measure(std::vector<Contender>* contenders) {
  for (const Contender& c : *contenders) c.run();
  for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
    for (Contender& c : *contenders) c.Time();
  }
}

// base's time over c's, repetition by repetition.
std::string Speedup(const Contender& base, const Contender& c) {
  std::vector<double> ratios;
  for (size_t i = 0; i < c.milliseconds.size(); ++i) {
    ratios.push_back(base.milliseconds[i] / c.milliseconds[i]);
  }
  return FormatSpread(SpreadOf(ratios), 2);
}

std::string Rate(const Contender& c) {
  return absl::StrFormat(
      "%.0f", c.active_flops * 1e-6 / SpreadOf(c.milliseconds).median);
}

// The same by processor time: what a core does while it is this process's.
std::string CpuRate(const Contender& c) {
  return absl::StrFormat(
      "%.0f", c.active_flops * 1e-9 / SpreadOf(c.cpu_seconds).median);
}

std::string DTypeName(DType dtype) {
  return dtype == DType::kFloat32 ? "fp32" : "bf16";
}

void BenchmarkPrefill(DType dtype, int32_t len, DeviceStream stream,
                      BenchmarkReport* report) {
  const AttentionCase c({kKvHeads, kQueryHeads / kKvHeads, kHeadDim}, dtype,
                        {WholePrompt(len)}, {}, {kSeed});
  const TorchInputs torch = ToTorch(c.Args(nullptr, nullptr));
  TypedArray out(dtype, int64_t{len} * kQueryHeads * kHeadDim);
  const AttentionArgs dense = c.Args(&out, nullptr);
  std::vector<RandomSets> sets;
  for (const double d : kDensities) sets.emplace_back(c.batch(), d);

  const auto kernel = [&](const AttentionArgs& args, std::string name) {
    Contender contender;
    contender.name = std::move(name);
    contender.active_flops = ActiveFlops(args);
    contender.run = [args, stream] {
      ABSL_RAW_CHECK(Attend(Backend::kCpu, args, stream).ok(), "");
    };
    return contender;
  };
  CheckResults(c, {}, stream);
  std::vector<Contender> contenders = {{"torch SDPA, dense",
                                        ActiveFlops(dense),
                                        [&] { RunTorch(torch); },
                                        {},
                                        {}},
                                       kernel(dense, "this kernel, dense")};
  for (size_t i = 0; i < sets.size(); ++i) {
    AttentionArgs args = dense;
    args.sets = sets[i].sets;
    args.sets.bits = sets[i].bits.data();
    args.sets.counts = sets[i].counts.data();
    CheckResults(c, args.sets, stream);
    contenders.push_back(kernel(
        args, absl::StrFormat("this kernel, %.0f %% of the blocks skipped",
                              100.0 * (1.0 - kDensities[i]))));
  }
  Measure(&contenders);
  report->StartTable(
      absl::StrCat("Prefill of ", len, " tokens, ", DTypeName(dtype)),
      {"", "ms", "active GFLOP/s", "GFLOP/CPU s", "times torch",
       "times dense"});
  for (const Contender& contender : contenders) {
    report->AddRow(
        {contender.name, FormatSpread(SpreadOf(contender.milliseconds), 1),
         Rate(contender), CpuRate(contender), Speedup(contenders[0], contender),
         Speedup(contenders[1], contender)});
  }
}

void BenchmarkInstructionSets(DType dtype, DeviceStream stream,
                              BenchmarkReport* report) {
  const AttentionCase c({kKvHeads, kQueryHeads / kKvHeads, kHeadDim}, dtype,
                        {WholePrompt(2048)}, {}, {kSeed});
  TypedArray out(dtype, int64_t{2048} * kQueryHeads * kHeadDim);
  const AttentionArgs args = c.Args(&out, nullptr);
  std::vector<Contender> contenders;
  for (const InstructionSet set : kInstructionSets) {
    if (!HasKernel(set, dtype) || !IsSupported(set)) continue;
    contenders.push_back({Name(set),
                          ActiveFlops(args),
                          [=] { AttendOnCpu(args, set, stream); },
                          {},
                          {}});
  }
  Measure(&contenders);
  report->StartTable(
      absl::StrCat("Dense prefill of 2048 tokens, ", DTypeName(dtype),
                   ", by instruction set"),
      {"", "ms", "active GFLOP/s", "GFLOP/CPU s", "times baseline"});
  for (const Contender& contender : contenders) {
    report->AddRow({contender.name,
                    FormatSpread(SpreadOf(contender.milliseconds), 1),
                    Rate(contender), CpuRate(contender),
                    Speedup(contenders[0], contender)});
  }
}

void BenchmarkDecode(int32_t len, DeviceStream stream,
                     BenchmarkReport* report) {
  const DType dtype = DType::kBFloat16;
  const AttentionCase c({kKvHeads, kQueryHeads / kKvHeads, kHeadDim}, dtype,
                        {GeneratedRows(1, len - 1, 1)}, {}, {kSeed});
  CheckResults(c, {}, stream);
  const TorchInputs torch = ToTorch(c.Args(nullptr, nullptr));
  TypedArray out(dtype, kQueryHeads * kHeadDim);
  const AttentionArgs args = c.Args(&out, nullptr);
  // One call is too short to time.
  constexpr int kCalls = 20;
  const auto repeat = [](std::function<void()> run) {
    return [run] {
      for (int i = 0; i < kCalls; ++i) run();
    };
  };
  std::vector<Contender> contenders = {
      {"torch SDPA", 0.0, repeat([&] { RunTorch(torch); }), {}, {}},
      {"this kernel",
       0.0,
       repeat([&] {
         ABSL_RAW_CHECK(Attend(Backend::kCpu, args, stream).ok(), "");
       }),
       {},
       {}}};
  Measure(&contenders);
  const double bytes = 2.0 * len * kKvHeads * kHeadDim * SizeOf(dtype);
  report->StartTable(
      absl::StrCat("One decode row after ", len - 1, " tokens, bf16"),
      {"", absl::StrCat("ms for ", kCalls, " calls"), "GB/s of paged KV",
       "times torch"});
  for (const Contender& contender : contenders) {
    const Spread spread = SpreadOf(contender.milliseconds);
    report->AddRow(
        {contender.name, FormatSpread(spread, 2),
         absl::StrFormat("%.1f", kCalls * bytes * 1e-6 / spread.median),
         Speedup(contenders[0], contender)});
  }
}

int Main() {
  const c10::InferenceMode no_gradients;
  const int flag = absl::GetFlag(FLAGS_threads);
  const int num_threads =
      flag > 0 ? flag : static_cast<int>(std::thread::hardware_concurrency());
  at::set_num_threads(num_threads);
  ThreadPool threads(num_threads);
  const DeviceStream stream{&threads};

  BenchmarkReport report("Attention on the CPU", absl::GetFlag(FLAGS_commit));
  report.AddFact("Instruction set", Name(BestInstructionSet(DType::kBFloat16)));
  report.AddFact("Flags",
                 absl::StrCat("--threads=", num_threads, " --repetitions=",
                              absl::GetFlag(FLAGS_repetitions)));
  report.AddFact("Compared with", "torch 2.11.0, K and V repeated beforehand");
  report.AddFact("Shape", "9 query heads over 3 KV heads, head_dim 64, causal");
  report.AddFact("Figures",
                 "median (lowest-highest); contenders run in turn, and a ratio "
                 "is taken within its turn; a rate by CPU second counts only "
                 "the time that this process had a processor");
  for (const DType dtype : {DType::kBFloat16, DType::kFloat32}) {
    for (const int32_t len : {2048, 8192}) {
      BenchmarkPrefill(dtype, len, stream, &report);
    }
    BenchmarkInstructionSets(dtype, stream, &report);
  }
  BenchmarkDecode(8192, stream, &report);

  return report.WriteTo(absl::GetFlag(FLAGS_output)) ? 0 : 1;
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return seer::Main();
}
