// Steps of a model with random weights, without a server: prefill of prompts,
// dense and under mean_pool at target sparsities, calibration's pass beside the
// dense one, and decoding by batch size.
//
//   model_benchmark --config=tests/benchmarks/models/llama_3_1_8b.json
//       --device=cuda --tokens=8192,32768 --sparsities=0,0.9
//       --decode_batches=1,64
//
// Cases take turns after one run that is checked: realized sparsity within
// 0.5 % (absolute) of its target.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "engine/kv_cache/kv_cache.h"
#include "kernels/ragged_batch.h"
#include "tests/benchmarks/random_model.h"
#include "tests/testing/benchmark_report.h"

using Strings = std::vector<std::string>;

ABSL_FLAG(std::string, config, "", "config.json of the model's shape");
ABSL_FLAG(std::string, name, "Llama-3.1-8B's shape", "what to call it");
ABSL_FLAG(std::string, device, "auto", "auto, cpu, cuda or cuda:N");
ABSL_FLAG(std::string, dtype, "bfloat16", "bfloat16 or float32");
ABSL_FLAG(int, threads, 2, "threads of the CPU");
ABSL_FLAG(Strings, tokens, (Strings{"8192"}), "prompt lengths");
ABSL_FLAG(int64_t, chunk, 8192, "rows of a step, a multiple of 64");
ABSL_FLAG(Strings, sparsities, (Strings{"0", "0.9"}),
          "target sparsities of prompts; 0 is dense");
ABSL_FLAG(Strings, decode_batches, (Strings{"1", "64"}),
          "sequences of a decode step; none: no decoding");
ABSL_FLAG(Strings, layer_pass_tiles, (Strings{}),
          "tiles of a range of calibration's pass; none: no such pass");
ABSL_FLAG(int64_t, context, 4096, "tokens that each has behind it");
ABSL_FLAG(int, rounds, 3, "timed runs of each prompt");
ABSL_FLAG(int, decode_steps, 32, "timed steps of each batch");
ABSL_FLAG(bool, replay, true,
          "replay decode steps where the device can; no parts are then told");
ABSL_FLAG(std::string, commit, "not given", "commit of the code that runs");
ABSL_FLAG(std::string, output, "", "file of the report; none: print it");

namespace seer {
namespace {

struct PrefillCase {
  int64_t num_tokens = 0;
  double target = 0.0;
  std::vector<StepTimes> runs;
};

struct DecodeCase {
  int64_t batch = 0;
  std::vector<StepTimes> runs;
};

// Calibration's pass of a prompt beside dense prefill, in milliseconds.
struct PassCase {
  int64_t num_tokens = 0;
  int64_t tiles = 0;
  std::vector<double> dense, plain, with_targets;
};

absl::StatusOr<std::vector<int64_t>> Numbers(const Strings& texts) {
  std::vector<int64_t> numbers;
  for (const std::string& text : texts) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(text, &number) || number < 1) {
      return absl::InvalidArgumentError(absl::StrCat("no count: ", text));
    }
    numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::vector<PrefillCase>> PrefillCases() {
  SEER_ASSIGN_OR_RETURN(const std::vector<int64_t> lengths,
                        Numbers(absl::GetFlag(FLAGS_tokens)));
  std::vector<PrefillCase> cases;
  for (const int64_t length : lengths) {
    for (const std::string& text : absl::GetFlag(FLAGS_sparsities)) {
      PrefillCase c;
      c.num_tokens = length;
      if (!absl::SimpleAtod(text, &c.target)) {
        return absl::InvalidArgumentError(absl::StrCat("no target: ", text));
      }
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

absl::StatusOr<std::vector<DecodeCase>> DecodeCases() {
  SEER_ASSIGN_OR_RETURN(const std::vector<int64_t> batches,
                        Numbers(absl::GetFlag(FLAGS_decode_batches)));
  std::vector<DecodeCase> cases;
  for (const int64_t batch : batches) {
    DecodeCase c;
    c.batch = batch;
    cases.push_back(std::move(c));
  }
  return cases;
}

absl::StatusOr<std::vector<PassCase>> PassCases() {
  SEER_ASSIGN_OR_RETURN(const std::vector<int64_t> lengths,
                        Numbers(absl::GetFlag(FLAGS_tokens)));
  SEER_ASSIGN_OR_RETURN(const std::vector<int64_t> ranges,
                        Numbers(absl::GetFlag(FLAGS_layer_pass_tiles)));
  std::vector<PassCase> cases;
  for (const int64_t length : lengths) {
    for (const int64_t tiles : ranges) {
      cases.emplace_back();
      cases.back().num_tokens = length;
      cases.back().tiles = tiles;
    }
  }
  return cases;
}

int64_t NumPages(const std::vector<PrefillCase>& prefills,
                 const std::vector<DecodeCase>& decodes) {
  int64_t pages = 1;
  for (const PrefillCase& c : prefills) {
    pages = std::max(pages, NumBlocks(c.num_tokens));
  }
  for (const DecodeCase& c : decodes) {
    pages =
        std::max(pages, c.batch * NumBlocks(absl::GetFlag(FLAGS_context) + 1));
  }
  return pages;
}

absl::Status CheckRealized(const PrefillCase& c, const StepTimes& times) {
  if (std::abs(times.RealizedSparsity() - c.target) <= 0.005) {
    return absl::OkStatus();
  }
  return absl::InternalError(
      absl::StrFormat("%d tokens: asked for sparsity %g, got %.4f",
                      c.num_tokens, c.target, times.RealizedSparsity()));
}

double Milliseconds(absl::Duration duration) {
  return absl::ToDoubleMilliseconds(duration);
}

Spread TotalsOf(const std::vector<StepTimes>& runs) {
  std::vector<double> totals;
  for (const StepTimes& run : runs) totals.push_back(Milliseconds(run.total));
  return SpreadOf(totals);
}

// "12.3 (45 %)" of one part: its median and share of the run of median time.
std::string PartOf(std::vector<StepTimes> runs,
                   absl::Duration ForwardReport::*part) {
  std::sort(
      runs.begin(), runs.end(),
      [](const StepTimes& a, const StepTimes& b) { return a.total < b.total; });
  const StepTimes& median = runs[runs.size() / 2];
  const absl::Duration time = median.parts.*part;
  return absl::StrFormat("%.2f (%.0f %%)", Milliseconds(time),
                         100 * absl::FDivDuration(time, median.total));
}

void ReportPrefill(const std::vector<PrefillCase>& cases,
                   BenchmarkReport* report) {
  report->StartTable("Prefill: milliseconds of a whole prompt",
                     {"tokens", "target sparsity", "realized", "total",
                      "tokens/s", "times as fast as dense",
                      "RoPE, pages, pools", "gate and selection", "attention"});
  for (const PrefillCase& c : cases) {
    const double total = TotalsOf(c.runs).median;
    double dense = std::nan("");
    for (const PrefillCase& other : cases) {
      if (other.num_tokens == c.num_tokens && other.target == 0) {
        dense = TotalsOf(other.runs).median;
      }
    }
    report->AddRow({absl::StrCat(c.num_tokens),
                    c.target > 0 ? absl::StrCat(c.target) : "dense",
                    absl::StrFormat("%.4f", c.runs[0].RealizedSparsity()),
                    FormatSpread(TotalsOf(c.runs), 1),
                    absl::StrFormat("%.0f", 1e3 * c.num_tokens / total),
                    absl::StrFormat("%.2f", dense / total),
                    PartOf(c.runs, &ForwardReport::prepare_time),
                    PartOf(c.runs, &ForwardReport::gate_time),
                    PartOf(c.runs, &ForwardReport::attention_time)});
  }
}

void ReportDecode(const std::vector<DecodeCase>& cases,
                  const RandomModel& model, BenchmarkReport* report) {
  const int64_t context = absl::GetFlag(FLAGS_context);
  const KvCacheShape& shape = model.cache().shape();
  const double token_bytes = 2.0 * shape.num_layers * shape.num_kv_heads *
                             shape.head_dim * SizeOf(shape.dtype);
  report->StartTable(
      absl::StrFormat("Decoding: milliseconds of a step at %d tokens", context),
      {"sequences", "total", "tokens/s", "GB/s of weights and cache",
       "RoPE, pages, pools", "attention"});
  const bool replayed = model.model().num_replays() > 0;
  for (const DecodeCase& c : cases) {
    const double total = TotalsOf(c.runs).median;
    const double bytes =
        model.model().weight_bytes() + token_bytes * c.batch * context;
    report->AddRow(
        {absl::StrCat(c.batch), FormatSpread(TotalsOf(c.runs), 2),
         absl::StrFormat("%.0f", 1e3 * c.batch / total),
         absl::StrFormat("%.0f", bytes / total / 1e6),
         replayed ? "-" : PartOf(c.runs, &ForwardReport::prepare_time),
         replayed ? "-" : PartOf(c.runs, &ForwardReport::attention_time)});
  }
}

// All three of a case take turns, the first round not being timed.
absl::Status MeasurePasses(RandomModel& model, std::vector<PassCase>* cases) {
  for (int round = -1; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (PassCase& c : *cases) {
      SEER_ASSIGN_OR_RETURN(
          const StepTimes dense,
          model.Prefill(c.num_tokens, absl::GetFlag(FLAGS_chunk), 0));
      SEER_ASSIGN_OR_RETURN(const absl::Duration plain,
                            model.PassLayers(c.num_tokens, c.tiles, false));
      SEER_ASSIGN_OR_RETURN(const absl::Duration with_targets,
                            model.PassLayers(c.num_tokens, c.tiles, true));
      if (round < 0) continue;
      c.dense.push_back(Milliseconds(dense.total));
      c.plain.push_back(Milliseconds(plain));
      c.with_targets.push_back(Milliseconds(with_targets));
    }
  }
  return absl::OkStatus();
}

void ReportPasses(const std::vector<PassCase>& cases, BenchmarkReport* report) {
  report->StartTable(
      "Calibration's pass, layer by layer: milliseconds",
      {"tokens", "tiles of a range", "dense prefill", "pass without targets",
       "pass with the max target", "of dense prefill"});
  for (const PassCase& c : cases) {
    report->AddRow({absl::StrCat(c.num_tokens), absl::StrCat(c.tiles),
                    FormatSpread(SpreadOf(c.dense), 1),
                    FormatSpread(SpreadOf(c.plain), 1),
                    FormatSpread(SpreadOf(c.with_targets), 1),
                    absl::StrFormat("%.2f", SpreadOf(c.with_targets).median /
                                                SpreadOf(c.dense).median)});
  }
}

absl::Status Measure(RandomModel& model, std::vector<PrefillCase>* prefills,
                     std::vector<DecodeCase>* decodes) {
  const int64_t chunk = absl::GetFlag(FLAGS_chunk);
  const int64_t context = absl::GetFlag(FLAGS_context);
  for (const PrefillCase& c : *prefills) {
    SEER_ASSIGN_OR_RETURN(const StepTimes times,
                          model.Prefill(c.num_tokens, chunk, c.target));
    SEER_RETURN_IF_ERROR(CheckRealized(c, times));
  }
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (PrefillCase& c : *prefills) {
      SEER_ASSIGN_OR_RETURN(const StepTimes times,
                            model.Prefill(c.num_tokens, chunk, c.target));
      c.runs.push_back(times);
    }
  }
  for (DecodeCase& c : *decodes) {
    // A step is recorded when its shape comes for the second time.
    for (int step = 0; step < 3; ++step) {
      SEER_RETURN_IF_ERROR(model.Decode(c.batch, context).status());
    }
    for (int step = 0; step < absl::GetFlag(FLAGS_decode_steps); ++step) {
      SEER_ASSIGN_OR_RETURN(const StepTimes times,
                            model.Decode(c.batch, context));
      c.runs.push_back(times);
    }
  }
  return absl::OkStatus();
}

absl::Status Main() {
  SEER_ASSIGN_OR_RETURN(std::vector<PrefillCase> prefills, PrefillCases());
  SEER_ASSIGN_OR_RETURN(std::vector<DecodeCase> decodes, DecodeCases());
  SEER_ASSIGN_OR_RETURN(std::vector<PassCase> passes, PassCases());
  if (absl::GetFlag(FLAGS_rounds) < 1 ||
      absl::GetFlag(FLAGS_decode_steps) < 1) {
    return absl::InvalidArgumentError("--rounds or --decode_steps below 1");
  }
  RandomModel::Options options;
  options.config = absl::GetFlag(FLAGS_config);
  options.device = absl::GetFlag(FLAGS_device);
  options.dtype = absl::GetFlag(FLAGS_dtype);
  options.num_threads = absl::GetFlag(FLAGS_threads);
  options.replay_decode_steps = absl::GetFlag(FLAGS_replay);
  options.num_pages = NumPages(prefills, decodes);
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<RandomModel> model,
                        RandomModel::Make(options));
  SEER_RETURN_IF_ERROR(Measure(*model, &prefills, &decodes));
  SEER_RETURN_IF_ERROR(MeasurePasses(*model, &passes));

  BenchmarkReport report("Steps of a model with random weights",
                         absl::GetFlag(FLAGS_commit));
  report.AddFact("Model", absl::StrCat(absl::GetFlag(FLAGS_name), ", ",
                                       options.dtype, ", random weights"));
  report.AddFact("Device", model->device().description());
  report.AddFact("Gate", "mean_pool, one sink block, two dense last tiles");
  report.AddFact("Rows of a step", absl::StrCat(absl::GetFlag(FLAGS_chunk)));
  report.AddFact("Replayed steps", absl::StrCat(model->model().num_replays()));
  report.AddFact("Times",
                 "totals of the host's clock, from the batch to its logits on "
                 "the host; parts of the device's");
  ReportPrefill(prefills, &report);
  if (!decodes.empty()) ReportDecode(decodes, *model, &report);
  if (!passes.empty()) ReportPasses(passes, &report);
  const std::string output = absl::GetFlag(FLAGS_output);
  if (!report.WriteTo(output)) {
    return absl::InternalError(absl::StrCat("cannot write ", output));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = seer::Main();
  if (!status.ok()) {
    std::fprintf(stderr, "model_benchmark: %s\n", status.ToString().c_str());
    return 1;
  }
}
