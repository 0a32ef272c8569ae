#include "client/commands/complete.h"

#include <optional>

#include "base/status_macros.h"
#include "client/commands/stream_completion.h"
#include "client/flags/generation_flags.h"
#include "client/flags/policy_flags.h"
#include "client/flags/prompt_flags.h"
#include "client/output/result_json.h"
#include "client/output/words.h"

namespace seer {
namespace {

class CompleteCommand final : public Command {
 public:
  std::string name() const override { return "complete"; }
  std::string summary() const override { return "complete a prompt"; }
  std::string arguments() const override { return "[flags] [PROMPT]"; }
  std::string description() const override {
    return "Streams the completion to standard output; a closing line with "
           "timings and\nrealized sparsity goes to standard error.\n";
  }

  void AddFlags(FlagSet* flags) override {
    prompt_.AddTo(flags);
    prompt_.AddChatTo(flags);
    generation_.AddTo(flags);
    flags->Add("n", &n_, "N", "completions of the one prompt; default 1");
    policy_.AddTo(flags);
    flags->Group("Log-probabilities (with --json)");
    flags->Add("logprobs", &logprobs_, "K",
               "of each output token, with the K likeliest, 0 to 20");
    flags->Add("prompt_logprobs", &prompt_logprobs_, "K",
               "of each prompt token but the first");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions& output, Console& console) override {
    if ((logprobs_ || prompt_logprobs_) && !output.json) {
      return absl::InvalidArgumentError(
          "--logprobs and --prompt_logprobs need --json");
    }
    SEER_ASSIGN_OR_RETURN(auto policy, policy_.Policy());
    if (policy.has_value()) *request_.mutable_sparsity() = *std::move(policy);
    generation_.Fill(&request_);
    if (n_) request_.mutable_sampling()->set_n(*n_);
    if (logprobs_) request_.set_logprobs(*logprobs_);
    if (prompt_logprobs_) request_.set_prompt_logprobs(*prompt_logprobs_);
    return prompt_.Fill(positional, console.in, &request_);
  }

  absl::Status Run(const Session& session) override {
    // Several choices arrive interleaved: they are shown at the end.
    const bool streams = !session.output.json && n_.value_or(1) == 1;
    std::ostream& out = session.console.out;
    SEER_ASSIGN_OR_RETURN(
        const v1::CompleteResult result,
        StreamCompletion(session, request_, streams ? &out : nullptr));
    if (session.output.json) {
      out << ToText(ResultJson(result)) << std::endl;
    } else if (!streams) {
      for (int i = 0; i < result.choices_size(); ++i) {
        out << "--- choice " << i << "\n"
            << result.choices(i).text() << std::endl;
      }
    }
    if (!session.output.quiet) {
      session.console.err << ClosingLine(result) << std::endl;
    }
    return absl::OkStatus();
  }

 private:
  PromptFlags prompt_;
  GenerationFlags generation_;
  PolicyFlags policy_;
  std::optional<int32_t> n_;
  std::optional<int32_t> logprobs_;
  std::optional<int32_t> prompt_logprobs_;
  v1::CompleteRequest request_;
};

}  // namespace

std::unique_ptr<Command> MakeCompleteCommand() {
  return std::make_unique<CompleteCommand>();
}

}  // namespace seer
