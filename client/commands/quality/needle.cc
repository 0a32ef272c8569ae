#include "client/commands/quality/needle.h"

#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/commands/quality/measurement.h"
#include "client/evaluation/cell_failure.h"
#include "client/evaluation/needle/needle_report.h"
#include "client/evaluation/policy_grid.h"
#include "client/evaluation/text_tokens.h"
#include "client/flags/grid_flags.h"
#include "client/flags/text_input.h"
#include "client/output/report_file.h"
#include "client/output/result_json.h"

namespace seer {
namespace {

class NeedleCommand final : public Command {
 public:
  std::string name() const override { return "needle"; }
  std::string summary() const override {
    return "measure whether facts hidden in a long text are found";
  }
  std::string arguments() const override { return "[flags] FILE"; }
  std::string description() const override {
    return "Sentences such as \"The secret number of Tamoru is 48213.\" are "
           "hidden in the text\nof FILE; the asked one at each depth, the "
           "others evenly. An answer is right where\nits number is likelier "
           "after the question than the numbers of the others.\nThe last tiles "
           "of a prompt, where the question is, read everything unless\n"
           "--dense_last_blocks=0 says otherwise.\n";
  }

  void AddFlags(FlagSet* flags) override {
    grid_.AddTo(flags);
    flags->Group("Needles");
    flags->Add("depths", &depths_, "X,...",
               "shares of the text before the fact, in [0, 1]; default "
               "0.1,0.3,0.5,0.7,0.9");
    flags->Add("trials", &num_trials_, "N",
               "of each length, depth and policy, each with its own facts; "
               "default 5");
    flags->Add("candidates", &num_candidates_, "N",
               "facts a prompt, 2 to 20; default 5");
    flags->Add("seed", &seed_, "N", "of the facts; default 0");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console& console) override {
    SEER_ASSIGN_OR_RETURN(axes_, grid_.Axes());
    for (const double depth : depths_.values) {
      if (!(depth >= 0 && depth <= 1)) {
        return absl::InvalidArgumentError(
            absl::StrCat("a depth must be in [0, 1], is ", depth));
      }
    }
    if (num_trials_ < 1 || num_trials_ > 10000) {
      return absl::InvalidArgumentError("--trials must be in [1, 10000]");
    }
    if (num_candidates_ < 2 || num_candidates_ > 20) {
      return absl::InvalidArgumentError("--candidates must be in [2, 20]");
    }
    if (positional.size() != 1) {
      return absl::InvalidArgumentError("needle takes one text file");
    }
    SEER_ASSIGN_OR_RETURN(text_, ReadTextFileOr(positional[0], console.in));
    SEER_RETURN_IF_ERROR(CheckUtf8(positional[0], text_));
    return json_.Open(grid_.json_file());
  }

  absl::Status Run(const Session& session) override {
    std::optional<Measurement> measurement;
    measurement.emplace(session, "search", grid_.concurrency());
    const CallOptions& options = measurement->options();
    SEER_ASSIGN_OR_RETURN(const v1::Model model,
                          session.client.GetModel({}, options));
    NeedleArgs args;
    args.lengths = grid_.lengths();
    args.depths = depths_.values;
    args.num_trials = num_trials_;
    args.num_candidates = num_candidates_;
    args.seed = seed_;
    SEER_ASSIGN_OR_RETURN(args.grid, MakePolicyGrid(axes_, model));
    SEER_ASSIGN_OR_RETURN(args.begin_ids, BeginTokens(session.client, options));
    SEER_ASSIGN_OR_RETURN(args.filler,
                          TokensOf(session.client, text_, options));
    SEER_ASSIGN_OR_RETURN(const NeedleReport report,
                          FindNeedles(measurement->scorer(), args));
    measurement.reset();
    Json json = {{"model", ModelJson(model)}, {"seed", seed_}};
    json.update(NeedleJson(report));
    session.console.out << (session.output.json
                                ? absl::StrCat(ToText(json), "\n")
                                : NeedleTable(report))
                        << std::flush;
    SEER_RETURN_IF_ERROR(json_.Write(absl::StrCat(ToText(json, 1), "\n")));
    return CellFailure(report.cells);
  }

 private:
  GridFlags grid_;
  CommaList<double> depths_ = {{0.1, 0.3, 0.5, 0.7, 0.9}};
  int32_t num_trials_ = 5;
  int32_t num_candidates_ = 5;
  uint64_t seed_ = 0;
  PolicyAxes axes_;
  std::string text_;
  ReportFile json_;
};

}  // namespace

std::unique_ptr<Command> MakeNeedleCommand() {
  return std::make_unique<NeedleCommand>();
}

}  // namespace seer
