// Whole-model prefill through the engine, dense and sparse: time, realized
// sparsity, and where the time goes. tests/benchmarks/run_prefill runs it on
// the default model.
//
// Cases take turns, so that a machine that slows down slows all of them. Before
// the timed rounds each case is run once and checked: its realized sparsity
// must be within 0.5 % (absolute) of the target.

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "engine/llama_engine.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/benchmarks/stream_summary.h"
#include "tests/benchmarks/text_tokens.h"
#include "tests/testing/benchmark_report.h"

ABSL_FLAG(std::string, model, "", "Hugging Face folder of the model");
ABSL_FLAG(std::string, name, "SmolLM2-135M-Instruct", "what to call it");
ABSL_FLAG(std::string, text, "", "text that prompts begin with");
ABSL_FLAG(std::vector<std::string>, tokens,
          (std::vector<std::string>{"2048", "8192"}), "prompt lengths");
ABSL_FLAG(std::vector<std::string>, sparsities,
          (std::vector<std::string>{"0", "0.8"}),
          "target sparsities; 0 is dense");
ABSL_FLAG(std::string, dtype, "bfloat16", "bfloat16 or float32");
ABSL_FLAG(int, threads, 2, "threads of the model");
ABSL_FLAG(std::string, commit, "not given", "commit of the code that runs");
ABSL_FLAG(std::string, output, "", "file of the report; none: print it");
ABSL_FLAG(int, rounds, 3, "timed runs of each case");

namespace seer {
namespace {

// Where the time of a run's steps went.
struct Phases {
  absl::Duration steps;  // all of it
  absl::Duration scheduler;
  absl::Duration prepare;
  absl::Duration gate;
  absl::Duration attention;
};

// Sums up steps. Thread-safe.
class PhaseObserver final : public EngineObserver {
 public:
  void OnStep(const StepReport& report) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    phases_.steps += report.duration;
    phases_.scheduler += report.scheduler_time;
    phases_.prepare += report.prepare_time;
    phases_.gate += report.gate_time;
    phases_.attention += report.attention_time;
    num_tokens_ += report.prompt_tokens;
    reported_.notify_one();
  }
  void OnCancelled(absl::Duration) override {}

  // The sums of the steps that computed the last `num_tokens` prompt tokens: a
  // step is reported after its events were.
  Phases Take(int64_t num_tokens) {
    std::unique_lock<std::mutex> lock(mutex_);
    reported_.wait(lock, [&] { return num_tokens_ == num_tokens; });
    num_tokens_ = 0;
    return std::exchange(phases_, Phases());
  }

 private:
  std::mutex mutex_;
  std::condition_variable reported_;
  Phases phases_;
  int64_t num_tokens_ = 0;
};

struct Case {
  int64_t num_tokens = 0;
  double target = 0.0;
};

// Processor time that this process has used. Where others use the processors
// too, it says more than the time that passed.
double CpuSeconds() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

struct Run {
  absl::Duration prefill;
  double cpu_seconds = 0.0;  // of all threads
  double realized = 0.0;
  bool closest_feasible = false;  // forced blocks alone exceed the target
  Phases phases;
};

absl::StatusOr<Run> RunCase(const Case& c, const std::vector<TokenId>& text,
                            Engine& engine, PhaseObserver& observer) {
  GenerationRequest request;
  request.request_id = "benchmark";
  request.prompt.assign(text.begin(), text.begin() + c.num_tokens);
  // The context may leave no room for output: the prompt alone is computed.
  request.max_tokens = 0;
  request.policy.emplace();
  if (c.target > 0) {
    request.policy->budget.kind = BudgetKind::kTargetSparsity;
    request.policy->budget.target_sparsity = c.target;
    request.policy->gate = GateChoice{GateChoice::Kind::kMeanPool, ""};
  }
  const double cpu_begin = CpuSeconds();
  SEER_ASSIGN_OR_RETURN(auto stream, engine.Submit(std::move(request)));
  SEER_ASSIGN_OR_RETURN(const SummaryEvent summary, WaitForSummary(*stream));
  Run run;
  run.prefill = summary.prefill_time;
  run.cpu_seconds = CpuSeconds() - cpu_begin;
  run.realized = summary.sparsity.RealizedSparsity();
  run.closest_feasible = summary.sparsity.closest_feasible;
  run.phases = observer.Take(c.num_tokens);
  return run;
}

absl::Status CheckRun(const Case& c, const Run& run) {
  if (run.closest_feasible && run.realized < c.target) return absl::OkStatus();
  if (std::abs(run.realized - c.target) <= 0.005) return absl::OkStatus();
  return absl::InternalError(
      absl::StrFormat("%d tokens: asked for sparsity %g, got %.4f",
                      c.num_tokens, c.target, run.realized));
}

void SortByTime(std::vector<Run>* runs) {
  std::sort(runs->begin(), runs->end(),
            [](const Run& a, const Run& b) { return a.prefill < b.prefill; });
}

std::string TargetText(const Case& c) {
  return c.target > 0 ? absl::StrCat(c.target) : "dense";
}

Spread CpuSecondsOf(const std::vector<Run>& runs) {
  std::vector<double> seconds;
  for (const Run& run : runs) seconds.push_back(run.cpu_seconds);
  return SpreadOf(seconds);
}

Spread SecondsOf(const std::vector<Run>& runs) {
  std::vector<double> seconds;
  for (const Run& run : runs) {
    seconds.push_back(absl::ToDoubleSeconds(run.prefill));
  }
  return SpreadOf(seconds);
}

// Of the dense case that is as long as case i; NaN where there is none.
double DenseSeconds(const std::vector<Case>& cases,
                    const std::vector<std::vector<Run>>& runs, size_t i) {
  for (size_t j = 0; j < cases.size(); ++j) {
    if (cases[j].num_tokens == cases[i].num_tokens && cases[j].target == 0) {
      return SecondsOf(runs[j]).median;
    }
  }
  return std::nan("");
}

void AddTimes(const Case& c, const std::vector<Run>& runs, double dense_seconds,
              BenchmarkReport* report) {
  const Spread seconds = SecondsOf(runs);
  const Run& run = runs.front();
  report->AddRow(
      {absl::StrCat(c.num_tokens), TargetText(c),
       absl::StrFormat("%.4f%s", run.realized,
                       run.closest_feasible ? " (closest feasible)" : ""),
       FormatSpread(seconds, 2),
       absl::StrFormat("%.0f", c.num_tokens / seconds.median),
       FormatSpread(CpuSecondsOf(runs), 2),
       absl::StrFormat("%.2f", dense_seconds / seconds.median)});
}

// `runs` sorted by time.
void AddPhases(const Case& c, const std::vector<Run>& runs,
               BenchmarkReport* report) {
  const Phases& phases = runs[runs.size() / 2].phases;
  const auto share = [&](absl::Duration duration) {
    return absl::StrFormat("%.2f (%.0f %%)", absl::ToDoubleSeconds(duration),
                           100 * absl::FDivDuration(duration, phases.steps));
  };
  report->AddRow({absl::StrCat(c.num_tokens), TargetText(c),
                  share(phases.prepare), share(phases.gate),
                  share(phases.attention),
                  share(phases.steps - phases.scheduler - phases.prepare -
                        phases.gate - phases.attention),
                  share(phases.scheduler)});
}

absl::StatusOr<std::vector<Case>> CasesFromFlags() {
  std::vector<Case> cases;
  for (const std::string& tokens : absl::GetFlag(FLAGS_tokens)) {
    for (const std::string& sparsity : absl::GetFlag(FLAGS_sparsities)) {
      Case c;
      if (!absl::SimpleAtoi(tokens, &c.num_tokens) || c.num_tokens < 1 ||
          !absl::SimpleAtod(sparsity, &c.target)) {
        return absl::InvalidArgumentError("--tokens or --sparsities");
      }
      cases.push_back(c);
    }
  }
  return cases;
}

absl::Status Report(const std::vector<Case>& cases,
                    std::vector<std::vector<Run>> runs) {
  BenchmarkReport report("Whole-model prefill on the CPU",
                         absl::GetFlag(FLAGS_commit));
  report.AddFact("Model", absl::StrCat(absl::GetFlag(FLAGS_name), ", ",
                                       absl::GetFlag(FLAGS_dtype)));
  report.AddFact("Gate", "mean_pool, one sink block, two dense last tiles");
  report.AddFact("Runs",
                 absl::StrCat(absl::GetFlag(FLAGS_rounds),
                              " of each case, taking turns, after one that was "
                              "checked; ",
                              absl::GetFlag(FLAGS_threads), " threads"));
  report.AddFact("CPU seconds",
                 "only the time that this process had a processor, over all "
                 "threads: what to go by where others used the processors too");
  for (std::vector<Run>& case_runs : runs) SortByTime(&case_runs);
  report.StartTable("Time from the first chunk to the end of the prompt",
                    {"tokens", "target sparsity", "realized", "seconds",
                     "tokens/s", "CPU seconds", "times as fast as dense"});
  for (size_t i = 0; i < cases.size(); ++i) {
    AddTimes(cases[i], runs[i], DenseSeconds(cases, runs, i), &report);
  }
  report.StartTable(
      "Where the time goes, seconds of the median run",
      {"tokens", "target sparsity", "RoPE, pages, pools", "gate and selection",
       "attention", "products, norms, the rest", "scheduler"});
  for (size_t i = 0; i < cases.size(); ++i) {
    AddPhases(cases[i], runs[i], &report);
  }
  const std::string output = absl::GetFlag(FLAGS_output);
  if (!report.WriteTo(output)) {
    return absl::InternalError(absl::StrCat("cannot write ", output));
  }
  return absl::OkStatus();
}

absl::Status Main() {
  SEER_ASSIGN_OR_RETURN(const std::vector<Case> cases, CasesFromFlags());
  SEER_ASSIGN_OR_RETURN(const auto tokenizer,
                        Tokenizer::Load(absl::GetFlag(FLAGS_model)));
  SEER_ASSIGN_OR_RETURN(const std::vector<TokenId> text,
                        ReadTokens(absl::GetFlag(FLAGS_text), *tokenizer));
  for (const Case& c : cases) {
    if (c.num_tokens > static_cast<int64_t>(text.size())) {
      return absl::InvalidArgumentError("--text is too short");
    }
  }

  PhaseObserver observer;
  LlamaEngineOptions options;
  options.model_dir = absl::GetFlag(FLAGS_model);
  options.model_id = "benchmark";
  options.dtype = absl::GetFlag(FLAGS_dtype);
  options.num_threads = absl::GetFlag(FLAGS_threads);
  SEER_ASSIGN_OR_RETURN(
      const auto engine,
      LlamaEngine::Create(options, tokenizer.get(), &observer));

  for (const Case& c : cases) {
    SEER_ASSIGN_OR_RETURN(const Run run, RunCase(c, text, *engine, observer));
    SEER_RETURN_IF_ERROR(CheckRun(c, run));
  }
  std::vector<std::vector<Run>> runs(cases.size());
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (size_t i = 0; i < cases.size(); ++i) {
      SEER_ASSIGN_OR_RETURN(Run run,
                            RunCase(cases[i], text, *engine, observer));
      runs[i].push_back(std::move(run));
    }
  }

  return Report(cases, std::move(runs));
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = seer::Main();
  if (!status.ok()) {
    std::fprintf(stderr, "prefill_benchmark: %s\n", status.ToString().c_str());
    return 1;
  }
}
