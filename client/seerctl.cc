#include "client/seerctl.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/version.h"
#include "client/commands/chat.h"
#include "client/commands/command.h"
#include "client/commands/complete.h"
#include "client/commands/quality/evaluate.h"
#include "client/commands/quality/needle.h"
#include "client/commands/score.h"
#include "client/commands/status.h"
#include "client/commands/tokenize.h"
#include "client/completion_client.h"
#include "client/error_details.h"
#include "client/flags/connection_flags.h"
#include "client/flags/flag_set.h"
#include "client/output/result_json.h"

namespace seer {
namespace {

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeCompleteCommand());
  commands.push_back(MakeChatCommand());
  commands.push_back(MakeTokenizeCommand());
  commands.push_back(MakeScoreCommand());
  commands.push_back(MakeEvaluateCommand());
  commands.push_back(MakeNeedleCommand());
  commands.push_back(MakeStatusCommand());
  return commands;
}

// Null where there is none of that name.
std::unique_ptr<Command> FindCommand(const std::string& name) {
  for (std::unique_ptr<Command>& command : AllCommands()) {
    if (command->name() == name) return std::move(command);
  }
  return nullptr;
}

std::string Overview() {
  std::string text =
      "seerctl talks to a SeerServe server.\n\n"
      "Usage: seerctl COMMAND [flags] [arguments]\n\nCommands:\n";
  for (const std::unique_ptr<Command>& command : AllCommands()) {
    absl::StrAppendFormat(&text, "  %-10s%s\n", command->name(),
                          command->summary());
  }
  absl::StrAppend(&text,
                  "\nExit codes: 0 ok, 1 wrong usage, 2 refused, 3 unavailable "
                  "or full,\n4 cancelled or deadline passed, 5 failed.\n"
                  "`seerctl COMMAND --help` lists a command's flags, "
                  "`seerctl --version` says\nwhich this is.\n");
  return text;
}

bool AsksForHelp(absl::Span<const std::string> args) {
  for (const std::string& arg : args) {
    if (arg == "--") return false;
    if (arg == "--help" || arg == "-h") return true;
  }
  return false;
}

// One command with the flags that all have.
class Invocation {
 public:
  explicit Invocation(std::unique_ptr<Command> command)
      : command_(std::move(command)) {
    command_->AddFlags(&flags_);
    flags_.Group("Output");
    flags_.Add("json", &output_.json, "",
               "print one JSON object (errors too); see docs/seerctl.md");
    flags_.Add("quiet", &output_.quiet, "",
               "no progress bar and no closing line");
    connection_.AddTo(&flags_);
  }

  std::string Help() const {
    std::string summary = command_->summary();
    summary[0] = absl::ascii_toupper(summary[0]);
    std::string text =
        absl::StrCat("Usage: seerctl ", command_->name(), " ",
                     command_->arguments(), "\n\n", summary, ".\n");
    if (const std::string more = command_->description(); !more.empty()) {
      absl::StrAppend(&text, "\n", more);
    }
    return absl::StrCat(text, flags_.Help());
  }

  int Run(absl::Span<const std::string> args, Console& console) {
    const auto client = Prepare(args, console);
    if (!client.ok()) {
      console.err << "seerctl: " << client.status().message()
                  << " (see seerctl " << command_->name() << " --help)"
                  << std::endl;
      return kExitUsage;
    }
    const absl::Status status =
        command_->Run({**client, connection_.timeout(), console, output_});
    if (status.ok()) return kExitOk;
    if (output_.json) {
      console.out << ToText(ErrorJson(status)) << std::endl;
    }
    console.err << "seerctl: " << DescribeError(status) << std::endl;
    return ExitCodeOf(status);
  }

 private:
  absl::StatusOr<std::unique_ptr<CompletionClient>> Prepare(
      absl::Span<const std::string> args, Console& console) {
    const auto positional = flags_.Parse(args);
    if (!positional.ok()) return positional.status();
    const auto options = connection_.Options();
    if (!options.ok()) return options.status();
    if (absl::Status status = command_->Prepare(*positional, output_, console);
        !status.ok()) {
      return status;
    }
    return CompletionClient::Create(*options);
  }

  const std::unique_ptr<Command> command_;
  FlagSet flags_;
  OutputOptions output_;
  ConnectionFlags connection_;
};

}  // namespace

SeerctlExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kExitRefused;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitCancelled;
    default:
      return kExitFailed;
  }
}

int RunSeerctl(absl::Span<const std::string> args, Console& console) {
  if (args.empty()) {
    console.err << Overview();
    return kExitUsage;
  }
  std::string name = args[0];
  absl::Span<const std::string> rest = args.subspan(1);
  bool help = AsksForHelp(rest);
  if (name == "help" && !rest.empty()) {
    name = rest[0];
    help = true;
  } else if (name == "help" || name == "--help" || name == "-h") {
    console.out << Overview();
    return kExitOk;
  }
  if (name == "--version" || name == "version") {
    console.out << "seerctl " << kVersion << std::endl;
    return kExitOk;
  }
  if (absl::StartsWith(name, "-")) {
    console.err << "seerctl: " << name
                << " before the command: flags follow it (see seerctl --help)"
                << std::endl;
    return kExitUsage;
  }
  std::unique_ptr<Command> command = FindCommand(name);
  if (command == nullptr) {
    console.err << "seerctl: unknown command \"" << name
                << "\" (see seerctl --help)" << std::endl;
    return kExitUsage;
  }
  Invocation invocation(std::move(command));
  if (help) {
    console.out << invocation.Help();
    return kExitOk;
  }
  return invocation.Run(rest, console);
}

}  // namespace seer
