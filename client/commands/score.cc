#include "client/commands/score.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/commands/stream_completion.h"
#include "client/flags/policy_flags.h"
#include "client/flags/prompt_flags.h"
#include "client/output/result_json.h"
#include "client/output/words.h"

namespace seer {
namespace {

class ScoreCommand final : public Command {
 public:
  std::string name() const override { return "score"; }
  std::string summary() const override {
    return "print the perplexity of a text";
  }
  std::string arguments() const override { return "[flags] [TEXT]"; }
  std::string description() const override {
    return "Every token but the first is scored, given those before it.\n";
  }

  void AddFlags(FlagSet* flags) override {
    prompt_.AddTo(flags);
    policy_.AddTo(flags);
    flags->Group("Log-probabilities (with --json)");
    flags->Add("logprobs", &logprobs_, "K",
               "print them, each with the K likeliest tokens, 0 to 20");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions& output, Console& console) override {
    if (logprobs_ && !output.json) {
      return absl::InvalidArgumentError("--logprobs needs --json");
    }
    SEER_ASSIGN_OR_RETURN(auto policy, policy_.Policy());
    if (policy.has_value()) *request_.mutable_sparsity() = *std::move(policy);
    request_.set_max_tokens(0);
    request_.set_prompt_logprobs(logprobs_.value_or(0));
    return prompt_.Fill(positional, console.in, &request_);
  }

  absl::Status Run(const Session& session) override {
    SEER_ASSIGN_OR_RETURN(v1::CompleteResult result,
                          StreamCompletion(session, request_, nullptr));
    const int num_scored = result.prompt_logprobs_size();
    if (num_scored == 0) {
      return absl::InvalidArgumentError(
          "a text of one token has nothing to score");
    }
    double nll = 0;
    for (const v1::LogprobEntry& entry : result.prompt_logprobs()) {
      nll -= entry.token().logprob();
    }
    const double mean = nll / num_scored;
    if (session.output.json) {
      PrintJson(session, nll, &result);
      return absl::OkStatus();
    }
    session.console.out << absl::StreamFormat(
        "perplexity %.4f, NLL %.5f nats/token over %d tokens, %s\n",
        std::exp(mean), mean, num_scored,
        SparsityText(result.summary().sparsity()));
    session.console.out.flush();
    return absl::OkStatus();
  }

 private:
  void PrintJson(const Session& session, double nll,
                 v1::CompleteResult* result) const {
    const int num_scored = result->prompt_logprobs_size();
    if (!logprobs_) result->clear_prompt_logprobs();
    Json json = {{"tokens_scored", num_scored},
                 {"nll_sum", nll},
                 {"nll_mean", nll / num_scored},
                 {"perplexity", std::exp(nll / num_scored)}};
    json.update(ResultJson(*result));
    json.erase("choices");
    json.erase("seed");
    session.console.out << ToText(json) << std::endl;
  }

  PromptFlags prompt_;
  PolicyFlags policy_;
  std::optional<int32_t> logprobs_;
  v1::CompleteRequest request_;
};

}  // namespace

std::unique_ptr<Command> MakeScoreCommand() {
  return std::make_unique<ScoreCommand>();
}

}  // namespace seer
