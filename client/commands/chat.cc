#include "client/commands/chat.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/commands/stream_completion.h"
#include "client/connection/error_details.h"
#include "client/flags/generation_flags.h"
#include "client/flags/policy_flags.h"
#include "client/flags/text_input.h"
#include "client/output/result_json.h"
#include "client/output/words.h"

namespace seer {
namespace {

absl::Status NoSuchCommand(absl::string_view line) {
  return absl::InvalidArgumentError(absl::StrCat(
      "no command ", line.substr(0, line.find(' ')),
      ": there is /reset; Ctrl-D ends the chat; put a space before a turn "
      "that begins with /"));
}

class ChatCommand final : public Command {
 public:
  std::string name() const override { return "chat"; }
  std::string summary() const override {
    return "hold a conversation, a line a turn";
  }
  std::string arguments() const override { return "[flags]"; }
  std::string description() const override {
    return "Reads one turn a line from standard input and answers on standard "
           "output, until\nthe input ends (Ctrl-D on a terminal). /reset "
           "forgets the conversation; no other\nline may begin with /. On a "
           "terminal, Ctrl-C ends an answer, and the chat where\nnone is being "
           "given; a failed turn is forgotten and the chat goes on. From a "
           "pipe,\na failed turn ends it.\n";
  }

  void AddFlags(FlagSet* flags) override {
    flags->Group("Prompt");
    flags->Add("system", &system_, "TEXT", "put a system message in front");
    generation_.AddTo(flags);
    policy_.AddTo(flags);
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console&) override {
    if (!positional.empty()) {
      return absl::InvalidArgumentError(
          "chat takes no arguments: turns come from standard input");
    }
    SEER_RETURN_IF_ERROR(CheckUtf8("--system", system_));
    SEER_ASSIGN_OR_RETURN(auto policy, policy_.Policy());
    if (policy.has_value()) *request_.mutable_sparsity() = *std::move(policy);
    generation_.Fill(&request_);
    Reset();
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    Console& console = session.console;
    std::string line;
    while (true) {
      if (console.in_is_terminal) console.err << "> " << std::flush;
      if (!std::getline(console.in, line)) break;
      if (line.empty()) continue;
      if (line == "/reset") {
        Reset();
        continue;
      }
      const absl::Status status =
          line[0] == '/' ? NoSuchCommand(line) : RunTurn(session, line);
      if (status.ok()) continue;
      if (!console.in_is_terminal) return status;
      console.err << "seerctl: " << DescribeError(status) << std::endl;
    }
    if (console.in_is_terminal) console.err << std::endl;
    return absl::OkStatus();
  }

 private:
  void Reset() {
    request_.clear_chat();
    if (!system_.empty()) AddMessage("system", system_);
  }

  void AddMessage(const std::string& role, const std::string& content) {
    v1::ChatMessage* message = request_.mutable_chat()->add_messages();
    message->set_role(role);
    message->set_content(content);
  }

  // Adds the user's message and the answer to the conversation; neither where
  // it fails.
  absl::Status RunTurn(const Session& session, const std::string& user) {
    SEER_RETURN_IF_ERROR(CheckUtf8("the turn", user));
    AddMessage("user", user);
    std::ostream& out = session.console.out;
    const auto result = StreamCompletion(session, request_,
                                         session.output.json ? nullptr : &out);
    if (!result.ok()) {
      request_.mutable_chat()->mutable_messages()->RemoveLast();
      return result.status();
    }
    if (session.output.json) out << ToText(ResultJson(*result)) << std::endl;
    if (!session.output.quiet) {
      session.console.err << ClosingLine(*result) << std::endl;
    }
    AddMessage("assistant",
               result->choices_size() > 0 ? result->choices(0).text() : "");
    return absl::OkStatus();
  }

  std::string system_;
  GenerationFlags generation_;
  PolicyFlags policy_;
  v1::CompleteRequest request_;
};

}  // namespace

std::unique_ptr<Command> MakeChatCommand() {
  return std::make_unique<ChatCommand>();
}

}  // namespace seer
