#include "client/commands/quality/evaluate.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "client/commands/quality/measurement.h"
#include "client/evaluation/cell_failure.h"
#include "client/evaluation/perplexity/perplexity_report.h"
#include "client/evaluation/policy_grid.h"
#include "client/evaluation/text_tokens.h"
#include "client/flags/grid_flags.h"
#include "client/output/report_file.h"
#include "client/output/result_json.h"

namespace seer {
namespace {

std::string Sha256Of(const std::string& text) {
  return Sha256Hex(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

class EvaluateCommand final : public Command {
 public:
  std::string name() const override { return "evaluate"; }
  std::string summary() const override {
    return "measure perplexity under gates and budgets";
  }
  std::string arguments() const override { return "[flags] PATH..."; }
  std::string description() const override {
    return "PATH is a text file, or a folder of them. Each text is cut into "
           "windows of each\nlength, and every window is scored under every "
           "policy of the grid. Ends with the\nexit code of the first cell "
           "that "
           "failed.\n";
  }

  void AddFlags(FlagSet* flags) override {
    grid_.AddTo(flags);
    flags->Add("windows", &num_windows_, "N",
               "windows of each text and length, where as many fit; default 4");
    flags->Add("plot", &plot_file_, "PATH",
               "draw perplexity against realized sparsity into this SVG file");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console&) override {
    SEER_ASSIGN_OR_RETURN(axes_, grid_.Axes());
    if (num_windows_ < 1) {
      return absl::InvalidArgumentError("--windows must be at least 1");
    }
    SEER_ASSIGN_OR_RETURN(files_, ReadTexts(positional));
    SEER_RETURN_IF_ERROR(json_.Open(grid_.json_file()));
    return plot_.Open(plot_file_);
  }

  absl::Status Run(const Session& session) override {
    std::optional<Measurement> measurement;
    measurement.emplace(session, "score", grid_.concurrency());
    const CallOptions& options = measurement->options();
    SEER_ASSIGN_OR_RETURN(const v1::Model model,
                          session.client.GetModel({}, options));
    PerplexityArgs args;
    args.lengths = grid_.lengths();
    args.max_windows = num_windows_;
    SEER_ASSIGN_OR_RETURN(args.grid, MakePolicyGrid(axes_, model));
    SEER_ASSIGN_OR_RETURN(args.begin_ids, BeginTokens(session.client, options));
    std::vector<EvaluationText> texts;
    for (const TextFile& file : files_) {
      EvaluationText& text = texts.emplace_back();
      text.name = file.name;
      text.sha256 = Sha256Of(file.content);
      SEER_ASSIGN_OR_RETURN(text.ids,
                            TokensOf(session.client, file.content, options));
    }
    args.texts = texts;
    SEER_ASSIGN_OR_RETURN(const PerplexityReport report,
                          MeasurePerplexity(measurement->scorer(), args));
    measurement.reset();
    if (report.cells.empty()) {
      return absl::InvalidArgumentError("no text is as long as a window");
    }
    return Show(session, model, texts, report);
  }

 private:
  absl::Status Show(const Session& session, const v1::Model& model,
                    const std::vector<EvaluationText>& texts,
                    const PerplexityReport& report) {
    Json json = {{"model", ModelJson(model)}, {"texts", Json::array()}};
    for (const EvaluationText& text : texts) {
      json["texts"].push_back({{"name", text.name},
                               {"sha256", text.sha256},
                               {"tokens", text.ids.size()}});
    }
    json.update(PerplexityJson(report));
    session.console.out << (session.output.json
                                ? absl::StrCat(ToText(json), "\n")
                                : PerplexityTable(report))
                        << std::flush;
    SEER_RETURN_IF_ERROR(json_.Write(absl::StrCat(ToText(json, 1), "\n")));
    SEER_RETURN_IF_ERROR(plot_.Write(PerplexityPlot(report)));
    return CellFailure(report.cells);
  }

  GridFlags grid_;
  int64_t num_windows_ = 4;
  std::string plot_file_;
  PolicyAxes axes_;
  std::vector<TextFile> files_;
  ReportFile json_;
  ReportFile plot_;
};

}  // namespace

std::unique_ptr<Command> MakeEvaluateCommand() {
  return std::make_unique<EvaluateCommand>();
}

}  // namespace seer
