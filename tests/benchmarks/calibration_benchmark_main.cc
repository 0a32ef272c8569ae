// Calibration against dense prefill through the same engine, time a token.
//
// The two take turns, so that a machine that slows down slows both. Each
// calibration is checked: the loss of every layer is finite, and that of all
// is lower at its end than at its first step.

#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "engine/calibrator.h"
#include "engine/llama_engine.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/benchmarks/stream_summary.h"
#include "tests/benchmarks/text_tokens.h"
#include "tests/testing/benchmark_report.h"

ABSL_FLAG(std::string, model, "", "Hugging Face folder of the model");
ABSL_FLAG(std::string, load_format, "safetensors",
          "or dummy: random weights for the folder's config.json");
ABSL_FLAG(std::string, name, "SmolLM2-135M-Instruct", "what to call it");
ABSL_FLAG(std::string, text, "", "text to prefill and to calibrate on");
ABSL_FLAG(std::vector<std::string>, tokens, (std::vector<std::string>{"8192"}),
          "lengths of prompts and sequences");
ABSL_FLAG(std::string, device, "cpu", "cpu, cuda or cuda:N");
ABSL_FLAG(std::string, dtype, "bfloat16", "bfloat16 or float32");
ABSL_FLAG(int, threads, 2, "threads of the model, on the CPU");
ABSL_FLAG(
    int, steps, 9,
    "optimizer steps of a calibration, 3 to 11: of more, some are followed "
    "by a validation");
ABSL_FLAG(int, sequences_per_step, 2, "sequences of each");
ABSL_FLAG(int, rounds, 3, "turns of each");
ABSL_FLAG(std::string, commit, "not given", "commit of the code that runs");
ABSL_FLAG(std::string, output, "", "file of the report; none: print it");

namespace seer {
namespace {

class TextSequences final : public TokenSequences {
 public:
  TextSequences(const std::vector<TokenId>* text, int64_t sequence_len)
      : text_(*text), sequence_len_(sequence_len) {}
  int64_t num_sequences() const override {
    return static_cast<int64_t>(text_.size()) / sequence_len_;
  }
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override {
    const auto begin = text_.begin() + index * sequence_len_;
    return std::vector<TokenId>(begin, begin + sequence_len_);
  }

 private:
  const std::vector<TokenId>& text_;
  const int64_t sequence_len_;
};

// Seconds a token.
absl::StatusOr<double> Prefill(Engine& engine, const std::vector<TokenId>& text,
                               int64_t num_tokens) {
  GenerationRequest request;
  request.request_id = "benchmark";
  request.prompt.assign(text.begin(), text.begin() + num_tokens);
  request.max_tokens = 0;
  request.policy.emplace();
  SEER_ASSIGN_OR_RETURN(auto stream, engine.Submit(std::move(request)));
  SEER_ASSIGN_OR_RETURN(const SummaryEvent summary, WaitForSummary(*stream));
  return absl::ToDoubleSeconds(summary.prefill_time) / num_tokens;
}

double MeanLoss(const CalibrationStatus& status) {
  return std::accumulate(status.layer_losses.begin(), status.layer_losses.end(),
                         0.0) /
         status.layer_losses.size();
}

// Waits for the end of optimizer step `step`, and returns the time of it.
absl::StatusOr<absl::Time> WaitForStep(CalibrationRun& run, int64_t step) {
  while (run.status().step < step) {
    const auto event = run.Next(absl::Now() + absl::Microseconds(200));
    if (!event.has_value()) continue;
    if (const auto* status = std::get_if<absl::Status>(&*event)) return *status;
  }
  return absl::Now();
}

// Seconds a token, from the end of the first step to that of the last but one,
// after which held-out sequences are measured.
absl::StatusOr<double> Calibrate(LlamaEngine& engine,
                                 const std::vector<TokenId>& text,
                                 int64_t num_tokens) {
  CalibrationOptions options;
  options.steps = absl::GetFlag(FLAGS_steps);
  options.warmup_steps = 0;
  options.sequences_per_step = absl::GetFlag(FLAGS_sequences_per_step);
  options.sequence_len = num_tokens;
  SEER_ASSIGN_OR_RETURN(
      const auto run,
      engine.calibrator().Start(
          options, std::make_shared<TextSequences>(&text, num_tokens), ""));
  SEER_ASSIGN_OR_RETURN(const absl::Time begin, WaitForStep(*run, 1));
  const double first_loss = MeanLoss(run->status());
  SEER_ASSIGN_OR_RETURN(const absl::Time end,
                        WaitForStep(*run, options.steps - 1));
  const double last_loss = MeanLoss(run->status());
  if (!std::isfinite(last_loss) || last_loss >= first_loss) {
    return absl::InternalError(absl::StrFormat(
        "%d tokens: the mean loss of the steps is %g, that of the first %g",
        num_tokens, last_loss, first_loss));
  }
  return absl::ToDoubleSeconds(end - begin) /
         ((options.steps - 2) * options.sequences_per_step * num_tokens);
}

std::string TokensPerSecond(const std::vector<double>& seconds_a_token) {
  return absl::StrFormat("%.0f", 1.0 / SpreadOf(seconds_a_token).median);
}

absl::Status Compare(LlamaEngine& engine, const std::vector<TokenId>& text,
                     int64_t num_tokens, BenchmarkReport* report) {
  std::vector<double> prefills, calibrations, ratios;
  for (int round = -1; round < absl::GetFlag(FLAGS_rounds); ++round) {
    SEER_ASSIGN_OR_RETURN(const double prefill,
                          Prefill(engine, text, num_tokens));
    SEER_ASSIGN_OR_RETURN(const double calibration,
                          Calibrate(engine, text, num_tokens));
    if (round < 0) continue;  // warms up
    prefills.push_back(prefill);
    calibrations.push_back(calibration);
    ratios.push_back(calibration / prefill);
  }
  report->AddRow({absl::StrCat(num_tokens), TokensPerSecond(prefills),
                  TokensPerSecond(calibrations),
                  FormatSpread(SpreadOf(ratios), 2)});
  return absl::OkStatus();
}

absl::Status Main() {
  if (absl::GetFlag(FLAGS_steps) < 3 || absl::GetFlag(FLAGS_steps) > 11) {
    return absl::InvalidArgumentError("--steps");
  }
  LlamaEngineOptions options;
  options.model_dir = absl::GetFlag(FLAGS_model);
  options.model_id = "benchmark";
  options.load_format = absl::GetFlag(FLAGS_load_format);
  options.device = absl::GetFlag(FLAGS_device);
  options.dtype = absl::GetFlag(FLAGS_dtype);
  options.num_threads = absl::GetFlag(FLAGS_threads);
  options.scheduler = SchedulerOptionsFor(options.device);
  SEER_ASSIGN_OR_RETURN(const auto tokenizer,
                        Tokenizer::Load(options.model_dir));
  SEER_ASSIGN_OR_RETURN(const std::vector<TokenId> text,
                        ReadTokens(absl::GetFlag(FLAGS_text), *tokenizer));
  SEER_ASSIGN_OR_RETURN(const auto engine,
                        LlamaEngine::Create(options, tokenizer.get(), nullptr));

  BenchmarkReport report("Calibration against dense prefill",
                         absl::GetFlag(FLAGS_commit));
  report.AddFact("Model",
                 absl::StrCat(absl::GetFlag(FLAGS_name), ", ", options.dtype));
  report.AddFact("Device", engine->model().device);
  report.AddFact(
      "Calibration",
      absl::StrCat("Qavg_Kmaxminavg, target max, loss kl; ",
                   absl::GetFlag(FLAGS_steps), " steps of ",
                   absl::GetFlag(FLAGS_sequences_per_step),
                   " sequences, timed from the first to the last but one"));
  report.AddFact("Runs", absl::StrCat(absl::GetFlag(FLAGS_rounds),
                                      " of each, in turns, after one more"));
  report.StartTable(
      "With no requests beside it",
      {"tokens of a sequence", "prefill, tokens/s", "calibration, tokens/s",
       "calibration / prefill, time a token"});
  for (const std::string& tokens : absl::GetFlag(FLAGS_tokens)) {
    int64_t num_tokens = 0;
    if (!absl::SimpleAtoi(tokens, &num_tokens) || num_tokens < 128 ||
        num_tokens * 2 > static_cast<int64_t>(text.size())) {
      return absl::InvalidArgumentError("--tokens, or --text is too short");
    }
    SEER_RETURN_IF_ERROR(Compare(*engine, text, num_tokens, &report));
  }
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
    std::fprintf(stderr, "calibration_benchmark: %s\n",
                 status.ToString().c_str());
    return 1;
  }
}
