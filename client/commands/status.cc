#include "client/commands/status.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/output/result_json.h"
#include "client/output/words.h"

namespace seer {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(200);

// "target_sparsity 0.8, gate mean_pool"
std::string PolicyText(const v1::SparsityPolicy& policy) {
  const Json json = PolicyJson(policy);
  std::string text;
  for (const auto& [key, value] : json.items()) {
    if (key == "budget") {
      text = value.get<std::string>();
    } else if (key == "gate" || key == "allocation") {
      absl::StrAppend(&text, ", ", key, " ", value.get<std::string>());
    } else if (absl::StartsWith(text, key)) {
      absl::StrAppend(&text, " ", value.dump());
    } else {
      absl::StrAppend(&text, ", ", key, " ", value.dump());
    }
  }
  return text;
}

std::string GateSetText(const v1::GateSetSummary& gate_set) {
  std::string text = gate_set.name();
  if (gate_set.design() != gate_set.name()) {
    absl::StrAppend(&text, ", design ", gate_set.design());
  }
  if (!gate_set.version().empty()) {
    absl::StrAppend(&text, ", version ", gate_set.version().substr(0, 12));
  }
  if (gate_set.has_profile()) absl::StrAppend(&text, ", with budget profile");
  for (const int label : gate_set.labels()) {
    absl::StrAppend(&text, ", ", Word(static_cast<v1::GateLabel>(label)));
  }
  return text;
}

std::string ModelText(const v1::Model& model) {
  std::string text = absl::StrFormat(
      "model      %s, %s on %s\n"
      "shape      %d layers, %d query and %d KV heads of %d, vocabulary %d\n"
      "context    %d tokens, blocks of %d\n"
      "default    %s\n",
      model.name(), model.dtype(), model.device(), model.num_layers(),
      model.num_query_heads(), model.num_kv_heads(), model.head_dim(),
      model.vocabulary_size(), model.context_length(), model.block_size(),
      PolicyText(model.default_sparsity()));
  for (const v1::GateSetSummary& gate_set : model.gate_sets()) {
    absl::StrAppend(&text, "gate       ", GateSetText(gate_set), "\n");
  }
  return text;
}

std::string LoadText(const v1::Load& load) {
  std::string text = absl::StrFormat(
      "accepting  %s\n"
      "requests   %d running, %d waiting (%d prompt tokens)\n"
      "KV pages   %d of %d used\n",
      load.accepting() ? "yes" : "no", load.requests_running(),
      load.requests_waiting(), load.tokens_waiting(), load.kv_pages_used(),
      load.kv_pages_total());
  if (load.has_predicted_queue_delay()) {
    absl::StrAppendFormat(&text, "queue      %.2f s predicted\n",
                          Seconds(load.predicted_queue_delay()));
  }
  return text;
}

class StatusCommand final : public Command {
 public:
  std::string name() const override { return "status"; }
  std::string summary() const override {
    return "show the model, the load and the gates of a server";
  }
  std::string arguments() const override { return "[flags]"; }
  std::string description() const override { return ""; }

  void AddFlags(FlagSet* flags) override {
    flags->Group("Readiness");
    flags->Add("wait", &wait_, "DURATION",
               "wait this long, e.g. 30s, for the server to accept requests; "
               "UNAVAILABLE if it does not");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console&) override {
    if (!positional.empty()) {
      return absl::InvalidArgumentError("status takes no arguments");
    }
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    Canceller canceller;
    const Interrupts::Scope scope(session.console.interrupts, &canceller);
    CallOptions options;
    options.timeout = session.timeout;
    options.canceller = &canceller;
    if (wait_ > absl::ZeroDuration()) {
      SEER_RETURN_IF_ERROR(WaitUntilAccepting(session, options));
    }
    SEER_ASSIGN_OR_RETURN(const v1::Model model,
                          session.client.GetModel({}, options));
    SEER_ASSIGN_OR_RETURN(const v1::Load load,
                          session.client.GetLoad({}, options));
    if (session.output.json) {
      session.console.out << ToText({{"model", ModelJson(model)},
                                     {"load", LoadJson(load)}})
                          << std::endl;
    } else {
      session.console.out << ModelText(model) << LoadText(load) << std::flush;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status WaitUntilAccepting(const Session& session,
                                  CallOptions options) const {
    const absl::Time end = absl::Now() + wait_;
    // gRPC connects only while a call waits for it.
    options.wait_for_ready = true;
    while (true) {
      options.timeout = std::min(session.timeout, end - absl::Now());
      const absl::StatusOr<v1::Load> load = session.client.GetLoad({}, options);
      if (load.ok() && load->accepting()) return absl::OkStatus();
      if (!load.ok() && !absl::IsUnavailable(load.status()) &&
          !absl::IsDeadlineExceeded(load.status())) {
        return load.status();
      }
      if (absl::Now() + kPollInterval >= end) {
        return absl::UnavailableError(absl::StrCat(
            "not accepting requests after ", absl::FormatDuration(wait_)));
      }
      if (options.canceller->WaitFor(kPollInterval)) {
        return absl::CancelledError("cancelled by the caller");
      }
    }
  }

  absl::Duration wait_;
};

}  // namespace

std::unique_ptr<Command> MakeStatusCommand() {
  return std::make_unique<StatusCommand>();
}

}  // namespace seer
